{{/* What the bundled servers have in common, and their configuration. */}}

{{/* (dict "root" $ "component" … "checksum" TEXT): a server restarts when its configuration changes */}}
{{- define "marea.serverPodMetadata" -}}
labels:
  {{- include "marea.selectorLabels" . | nindent 2 }}
  app.kubernetes.io/part-of: marea
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ .checksum | sha256sum }}
  {{- with .root.Values.commonAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* (dict "root" $ "component" … "persistence" VALUES): the volume stays when the chart goes */}}
{{- define "marea.volumeClaim" -}}
- apiVersion: v1
  kind: PersistentVolumeClaim
  metadata:
    name: data
    labels:
      {{- include "marea.selectorLabels" . | nindent 6 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .persistence.storageClass }}
    storageClassName: {{ . }}
    {{- end }}
    resources:
      requests:
        storage: {{ .persistence.size }}
{{- end }}

{{- define "marea.valkeyConfig" -}}
dir /data
# The append-only file is the one copy; snapshots only cost time.
appendonly yes
appendfsync {{ .Values.valkey.appendfsync }}
save ""
# Evicting a queue or a row of the ledger loses work; a refused write is an error that is told.
maxmemory {{ .Values.valkey.maxmemory }}
maxmemory-policy noeviction
# Clients that went away without a word are found by this, not by a timeout of theirs.
tcp-keepalive 60
{{- with .Values.valkey.extraConfig }}
{{ . }}
{{- end }}
{{- end }}

{{/* What the processes need, and nothing that empties or stops the server: docs/redis.md. */}}
{{- define "marea.valkeyAcl" -}}
resetkeys resetchannels ~marea:* ~{{ .Values.ledger.prefix }}* ~marea.ping ~*.high ~*.normal &marea:* &{{ .Values.ledger.prefix }}* -@all +@connection +@transaction +eval +evalsha +script|load +get +set +mget +del +exists +llen +lpush +rpush +brpop +lrange +ltrim +hset +hget +hmget +hgetall +hdel +hlen +hvals +hincrby +zadd +zrem +zrange +zrevrange +zrangebyscore +zcard +zcount +zscore +sadd +srem +smembers +publish +subscribe +unsubscribe -@dangerous -@admin +info
{{- end }}

{{/* Each line's reason: docs/rabbitmq.md. */}}
{{- define "marea.rabbitmqConfig" -}}
load_definitions = /definitions/definitions.json
log.console = true
log.console.level = warning
disk_free_limit.absolute = 200MB
# Half of the container's limit: the node may see the machine's memory instead.
vm_memory_high_watermark.absolute = {{ div (include "marea.bytes" .Values.rabbitmq.resources.limits.memory | int64) 2 }}
# A node needs about three times this in memory; the default is 512 MB.
raft.wal_max_size_bytes = 64000000
heartbeat = 30
# Marea uses neither; the workers of somebody's own Celery application use both.
deprecated_features.permit.global_qos = {{ not (include "marea.projects" . | fromYamlArray | empty) }}
deprecated_features.permit.transient_nonexcl_queues = {{ not (include "marea.projects" . | fromYamlArray | empty) }}
deprecated_features.permit.management_metrics_collection = true
{{- with .Values.rabbitmq.extraConfig }}
{{ . }}
{{- end }}
{{- end }}

{{/* Without passwords: the init container puts them in. What a queue is declared with (quorum, delivery
     limit, dead-letter queue) is an argument and not repeated: the policy adds what arguments do
     not say. A message is taken back from a worker only after any job has had its time twice. */}}
{{- define "marea.rabbitmqDefinitions" -}}
{{- $ours := "^([a-z0-9-]+\\.(high|normal|dead-letter)|marea\\.epoch)$" -}}
{{- $policy := dict
      "dead-letter-strategy" "at-least-once"
      "overflow" "reject-publish"
      "consumer-timeout" (max 1800000 (mul 1000 (add (mul 2 (int .Values.timeLimits.hardSeconds)) 120))) -}}
{{- $vhosts := list (dict "name" "marea") -}}
{{- $users := list (dict "name" "marea" "tags" (list "management")) -}}
{{- $permissions := list (dict "user" "marea" "vhost" "marea" "configure" $ours "write" "^amq\\.default$" "read" $ours) -}}
{{- $policies := list (dict "vhost" "marea" "name" "marea-work" "pattern" "^[a-z0-9-]+\\.(high|normal)$" "apply-to" "queues" "priority" 0 "definition" $policy) -}}
{{- /* A virtual host for each project, in which its user may do everything. A task with an ETA is held
       by a worker until then, and with late acknowledgement while it runs: a day (arbitrary) instead
       of half an hour until it is taken back. A worker that died is noticed by its heartbeat. */ -}}
{{- range include "marea.projects" . | fromYamlArray -}}
{{- $name := printf "app-%s" .name -}}
{{- $vhosts = append $vhosts (dict "name" $name) -}}
{{- $users = append $users (dict "name" $name "tags" list) -}}
{{- $permissions = append $permissions (dict "user" $name "vhost" $name "configure" ".*" "write" ".*" "read" ".*") -}}
{{- $policies = append $policies (dict "vhost" $name "name" "tasks" "pattern" ".*" "apply-to" "queues" "priority" 0 "definition" (dict "consumer-timeout" 86400000)) -}}
{{- end -}}
{{- dict "vhosts" $vhosts "users" $users "permissions" $permissions "policies" $policies | mustToPrettyJson -}}
{{- end }}

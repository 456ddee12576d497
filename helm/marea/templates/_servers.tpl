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
resetkeys resetchannels ~marea:* ~{{ .Values.ledger.prefix }}* ~marea.ping ~*.high ~*.normal &marea:* &{{ .Values.ledger.prefix }}* -@all +@connection +@transaction +eval +evalsha +script|load +get +set +mget +del +exists +llen +lpush +rpush +brpop +lrange +ltrim +hset +hget +hmget +hgetall +hdel +hlen +hvals +hincrby +zadd +zrem +zrange +zrevrange +zrangebyscore +zcard +zcount +sadd +srem +smembers +publish +subscribe +unsubscribe -@dangerous -@admin +info
{{- end }}

{{- define "marea.rabbitmqConfig" -}}
load_definitions = /definitions/definitions.json
log.console = true
log.console.level = warning
# A message is taken back from a worker only after any job has had its time twice.
consumer_timeout = {{ max 1800000 (mul 1000 (add (mul 2 (int .Values.timeLimits.hardSeconds)) 120)) }}
disk_free_limit.absolute = 200MB
{{- with .Values.rabbitmq.extraConfig }}
{{ . }}
{{- end }}
{{- end }}

{{/* Without passwords: the init container puts them in. */}}
{{- define "marea.rabbitmqDefinitions" -}}
{{- $user := dict "name" "marea" "tags" (list "monitoring") -}}
{{- $permission := dict "user" "marea" "vhost" "marea" "configure" ".*" "write" ".*" "read" ".*" -}}
{{- dict "vhosts" (list (dict "name" "marea")) "users" (list $user) "permissions" (list $permission) "policies" (list) | mustToPrettyJson -}}
{{- end }}

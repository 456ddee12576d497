{{/* App pools: pools with `celery`, which run somebody's own Celery application. */}}

{{- define "marea.appPools" -}}
{{- $found := list -}}
{{- range include "marea.pools" . | fromYamlArray -}}
{{- if .celery }}{{ $found = append $found . }}{{ end -}}
{{- end -}}
{{- toYaml $found -}}
{{- end }}

{{/* What app pools have on the bundled broker: one user and one Secret a project, whose pools may be
     several. A YAML list of {name, database, existingSecret, results, queues, keys}. */}}
{{- define "marea.projects" -}}
{{- $projects := dict -}}
{{- range $pool := include "marea.appPools" . | fromYamlArray -}}
{{- if eq $pool.celery.broker "bundled" -}}
{{- $name := default $pool.name $pool.celery.project -}}
{{- $project := get $projects $name | default (dict
      "name" $name
      "database" (int $pool.celery.database)
      "existingSecret" $pool.celery.existingSecret
      "results" $pool.celery.results
      "queues" list
      "keys" list) -}}
{{- $_ := set $project "queues" (concat $project.queues $pool.celery.queues | uniq | sortAlpha) -}}
{{- $_ := set $project "keys" (concat $project.keys $pool.celery.keys | uniq | sortAlpha) -}}
{{- $_ := set $projects $name $project -}}
{{- end -}}
{{- end -}}
{{- $sorted := list -}}
{{- range keys $projects | sortAlpha }}{{ $sorted = append $sorted (get $projects .) }}{{ end -}}
{{- toYaml $sorted -}}
{{- end }}

{{/* (dict "root" $ "name" PROJECT "existingSecret" NAME) */}}
{{- define "marea.projectSecret" -}}
{{- default (printf "%s-app-%s" (include "marea.fullname" .root) .name) .existingSecret -}}
{{- end }}

{{/* PROJECT → the variable that holds its password where a server starts */}}
{{- define "marea.projectVariable" -}}
APP_{{ . | upper | replace "-" "_" }}_PASSWORD
{{- end }}

{{/* (dict "root" $ "pool" $pool): where a pool's application finds its broker's address */}}
{{- define "marea.appSecret" -}}
{{- $app := .pool.celery -}}
{{- if eq $app.broker "bundled" -}}
{{- include "marea.projectSecret" (dict "root" .root "name" (default .pool.name $app.project) "existingSecret" $app.existingSecret) -}}
{{- else -}}
{{- $app.existingSecret -}}
{{- end -}}
{{- end }}

{{- define "marea.tasksLabel" -}}
{{ include "marea.fullname" . }}-client
{{- end }}

{{/* (dict "root" $ "project" $project "password" TEXT), as the next two */}}
{{- define "marea.projectRedisUrl" -}}
redis://app-{{ .project.name }}:{{ .password }}@{{ include "marea.fullname" .root }}-valkey.{{ .root.Release.Namespace }}.svc:6379/{{ .project.database }}
{{- end }}

{{- define "marea.projectBrokerUrl" -}}
{{- if eq .root.Values.broker.kind "rabbitmq" -}}
amqp://app-{{ .project.name }}:{{ .password }}@{{ include "marea.fullname" .root }}-rabbitmq.{{ .root.Release.Namespace }}.svc:5672/app-{{ .project.name }}
{{- else -}}
{{ include "marea.projectRedisUrl" . }}
{{- end -}}
{{- end }}
{{- define "marea.projectResultBackend" -}}
{{- if and .project.results (include "marea.hasValkey" .root) -}}
{{ include "marea.projectRedisUrl" . }}
{{- end -}}
{{- end }}

{{/* (dict "root" $ "project" $project): what Celery does on Redis for these queues and their results, and
     nothing of Marea's. A queue is a list and one more for each priority: its name, two control
     characters and a digit. */}}
{{- define "marea.appAcl" -}}
{{- $database := int .project.database -}}
{{- $rights := list "resetkeys" "resetchannels" -}}
{{- if ne .root.Values.broker.kind "rabbitmq" -}}
{{- range .project.queues -}}
{{- $rights = concat $rights (list (printf "~%s" .) (printf "~%s[^!-~][^!-~][0-9]" .)) -}}
{{- end -}}
{{- $rights = concat $rights (list "~unacked" "~unacked_index" "~unacked_mutex" "~_kombu.binding*" "~*.celery.pidbox" "~*.celery.pidbox[^!-~][^!-~][0-9]" "~celeryev.*") -}}
{{- $rights = append $rights (printf "&/%d.celery.pidbox" $database) -}}
{{- /* A subscription to a pattern needs that pattern itself. */ -}}
{{- range list "*" "worker.*" "task.*" -}}
{{- $rights = append $rights (printf "&/%d.celeryev/%s" $database .) -}}
{{- end -}}
{{- end -}}
{{- $rights = concat $rights (list "~celery-task-meta-*" "~celery-taskset-meta-*" "&celery-task-meta-*" "&celery-taskset-meta-*") -}}
{{- range .project.keys }}{{ $rights = append $rights (printf "~%s" .) }}{{ end -}}
{{- $rights = append $rights "-@all +@connection +@transaction +@string +@list +@hash +@set +@sortedset +del +unlink +exists +type +expire +pexpire +ttl +pttl +time +eval +evalsha +script|load +script|exists +publish +subscribe +unsubscribe +psubscribe +punsubscribe -@dangerous -@admin" -}}
{{- join " " $rights -}}
{{- end }}

{{/* What the autoscaler is told of each app pool, as JSON: see docs/settings.md. */}}
{{- define "marea.appScaling" -}}
{{- $all := dict -}}
{{- range $pool := include "marea.appPools" . | fromYamlArray -}}
{{- $_ := set $all $pool.name (dict
      "queues" $pool.celery.queues
      "broker_url_file" (printf "/run/secrets/marea/apps/%s/broker-url" $pool.name)
      "silent_s" $pool.celery.silentSeconds) -}}
{{- end -}}
{{- toJson $all -}}
{{- end }}

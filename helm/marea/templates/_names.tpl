{{/* Names and labels. One place each, so that a Service and its pods cannot disagree. */}}

{{- define "marea.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* At most 36 characters: the longest suffix is "-worker-" and a pool's 18. A longer name is cut
     and gets a hash of all of it, so that two long ones stay two. */}}
{{- define "marea.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := printf "%s-%s" .Release.Name $name -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- $full = .Release.Name -}}
{{- end -}}
{{- if gt (len $full) 36 -}}
{{- printf "%s-%s" ($full | trunc 27 | trimSuffix "-") ($full | sha256sum | trunc 8) -}}
{{- else -}}
{{- $full -}}
{{- end -}}
{{- end }}

{{/* (dict "root" $ "component" "gateway") → what a selector may hold: nothing that changes. */}}
{{- define "marea.selectorLabels" -}}
app.kubernetes.io/name: {{ include "marea.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pool }}
marea/pool: {{ . }}
{{- end }}
{{- end }}

{{- define "marea.labels" -}}
{{ include "marea.selectorLabels" . }}
app.kubernetes.io/part-of: marea
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "component" "gateway" "name" "marea-gateway" "annotations" (dict)) */}}
{{- define "marea.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "marea.labels" . | nindent 2 }}
{{- with merge (dict) (default dict .annotations) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An image block → its reference. (dict "image" .Values.image "tag" "default tag") */}}
{{- define "marea.imageReference" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end }}

{{/* (dict "root" $ "component" "worker") */}}
{{- define "marea.serviceAccountName" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- if $account.create -}}
{{- default (printf "%s-%s" (include "marea.fullname" .root) .component) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end }}

{{/* Which bundled servers there are: "true" or empty. */}}
{{- define "marea.hasValkey" -}}
{{- if or (eq .Values.broker.kind "valkey") (eq .Values.ledger.kind "bundled") }}true{{ end -}}
{{- end }}
{{- define "marea.hasRabbitmq" -}}
{{- if eq .Values.broker.kind "rabbitmq" }}true{{ end -}}
{{- end }}
{{- define "marea.hasStore" -}}
{{- if eq .Values.store.kind "bundled" }}true{{ end -}}
{{- end }}

{{/* Every pool as a YAML list, its defaults filled in; app pools are those with `celery`. */}}
{{- define "marea.pools" -}}
{{- $pools := list -}}
{{- range .Values.pools -}}
{{- $pool := mergeOverwrite (deepCopy $.Values.worker.poolDefaults) (deepCopy .) -}}
{{- if hasKey . "resources" -}}
{{- $_ := set $pool "resources" .resources -}}
{{- end -}}
{{- if .celery -}}
{{- $_ := set $pool "celery" (mergeOverwrite (deepCopy $.Values.worker.appDefaults) (deepCopy .celery)) -}}
{{- end -}}
{{- $pools = append $pools $pool -}}
{{- end -}}
{{- toYaml $pools -}}
{{- end }}

{{- define "marea.graceSeconds" -}}
{{- default (add (int .Values.timeLimits.hardSeconds) 30) .Values.timeLimits.graceSeconds | int -}}
{{- end }}

{{/* A Kubernetes quantity of memory → bytes. */}}
{{- define "marea.bytes" -}}
{{- $text := toString . -}}
{{- $number := regexFind "^[0-9]+" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if or (not $number) (not (hasKey $factors $unit)) -}}
{{- fail (printf "%q is not a size: write whole numbers with Ki, Mi, Gi, k, M or G, e.g. 640Mi" $text) -}}
{{- end -}}
{{- mul (int64 $number) (int64 (index $factors $unit)) -}}
{{- end }}

{{/* CPU quantity → whole slots, rounded up, at least one. */}}
{{- define "marea.cpus" -}}
{{- $text := toString . -}}
{{- if hasSuffix "m" $text -}}
{{- max 1 (ceil (divf (float64 (trimSuffix "m" $text)) 1000.0)) | int -}}
{{- else -}}
{{- max 1 (ceil (float64 $text)) | int -}}
{{- end -}}
{{- end }}

{{/* Slots of a pool: (dict "pool" $pool). */}}
{{- define "marea.slots" -}}
{{- if eq (toString .pool.concurrency) "auto" -}}
{{- $cpu := dig "limits" "cpu" (dig "requests" "cpu" "" .pool.resources) .pool.resources -}}
{{- if not $cpu -}}
{{- fail (printf "pools: %s has concurrency auto, which needs a CPU limit or request to count: set resources.limits.cpu, or a number of slots" .pool.name) -}}
{{- end -}}
{{- include "marea.cpus" $cpu -}}
{{- else -}}
{{- int .pool.concurrency -}}
{{- end -}}
{{- end }}

{{/* What the autoscaler is told of each pool, as JSON: see docs/settings.md. */}}
{{- define "marea.poolScaling" -}}
{{- $all := dict -}}
{{- range $pool := include "marea.pools" . | fromYamlArray -}}
{{- $told := dict
      "slots" (include "marea.slots" (dict "pool" $pool) | int)
      "min_replicas" (int $pool.scaling.minReplicas)
      "max_replicas" (int $pool.scaling.maxReplicas)
      "weight" $pool.scaling.weight
      "floor" (int $pool.scaling.floor) -}}
{{- range $value, $setting := dict "drainSeconds" "drain_s" "idleAfterSeconds" "idle_after_s" -}}
{{- if not (kindIs "invalid" (index $pool.scaling $value)) -}}
{{- $_ := set $told $setting (index $pool.scaling $value) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $all $pool.name $told -}}
{{- end -}}
{{- toJson $all -}}
{{- end }}

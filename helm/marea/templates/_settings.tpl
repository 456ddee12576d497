{{/* The settings tree of every process: docs/settings.md in YAML. Passwords are files. */}}
{{- define "marea.settings" -}}
{{- $store := dict
      "region" .Values.store.region
      "source_buckets" .Values.store.sourceBuckets
      "results_bucket" .Values.store.resultsBucket
      "allow_unordered" .Values.store.allowUnordered -}}
{{- with include "marea.storeUrl" . }}{{- $_ := set $store "endpoint_url" . }}{{ end -}}
{{- with .Values.store.publicUrl }}{{- $_ := set $store "public_endpoint_url" . }}{{ end -}}
{{- $broker := dict "url" (include "marea.brokerUrl" .) -}}
{{- with include "marea.managementUrl" . }}{{- $_ := set $broker "management_url" . }}{{ end -}}
{{- $worker := dict
      "soft_time_limit_s" .Values.timeLimits.softSeconds
      "hard_time_limit_s" .Values.timeLimits.hardSeconds -}}
{{- $tree := dict
      "store" $store
      "broker" $broker
      "ledger" (dict "url" (include "marea.ledgerUrl" .) "prefix" .Values.ledger.prefix)
      "gateway" (dict "host" "0.0.0.0" "port" 8080)
      "worker" $worker
      "logs" (dict "format" "json") -}}
{{- with .Values.notify.url }}{{- $_ := set $tree "notify" (dict "url" .) }}{{ end -}}
{{- if .Values.rules }}{{- $_ := set $tree "rules_file" "/etc/marea/rules.yaml" }}{{ end -}}
{{- if .Values.pipelines }}{{- $_ := set $tree "pipelines_file" "/etc/marea/pipelines.yaml" }}{{ end -}}
{{- toYaml (mergeOverwrite $tree (deepCopy .Values.settings)) -}}
{{- end }}

{{/* Text as it is, an object as YAML. */}}
{{- define "marea.document" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toYaml . }}{{ end -}}
{{- end }}

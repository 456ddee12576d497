{{/* Where the servers are, bundled or external. No password is in any of these. */}}

{{- define "marea.storeUrl" -}}
{{- if include "marea.hasStore" . -}}
http://{{ include "marea.fullname" . }}-store.{{ .Release.Namespace }}.svc:{{ .Values.store.bundled.service.port }}
{{- else -}}
{{- .Values.store.external.endpointUrl -}}
{{- end -}}
{{- end }}

{{- define "marea.brokerUrl" -}}
{{- if eq .Values.broker.kind "valkey" -}}
redis://marea@{{ include "marea.fullname" . }}-valkey.{{ .Release.Namespace }}.svc:6379/0
{{- else if eq .Values.broker.kind "rabbitmq" -}}
amqp://marea@{{ include "marea.fullname" . }}-rabbitmq.{{ .Release.Namespace }}.svc:5672/marea
{{- else -}}
{{- include "marea.withCa" (dict "url" .Values.broker.external.url "caSecret" .Values.broker.external.caSecret "file" "/etc/marea-ca/broker/ca.crt") -}}
{{- end -}}
{{- end }}

{{- define "marea.managementUrl" -}}
{{- if eq .Values.broker.kind "rabbitmq" -}}
http://marea@{{ include "marea.fullname" . }}-rabbitmq.{{ .Release.Namespace }}.svc:15672
{{- else if eq .Values.broker.kind "external" -}}
{{- .Values.broker.external.managementUrl -}}
{{- end -}}
{{- end }}

{{- define "marea.ledgerUrl" -}}
{{- if eq .Values.ledger.kind "bundled" -}}
redis://marea@{{ include "marea.fullname" . }}-valkey.{{ .Release.Namespace }}.svc:6379/1
{{- else -}}
{{- include "marea.withCa" (dict "url" .Values.ledger.external.url "caSecret" .Values.ledger.external.caSecret "file" "/etc/marea-ca/ledger/ca.crt") -}}
{{- end -}}
{{- end }}

{{- define "marea.withCa" -}}
{{- if .caSecret -}}
{{- printf "%s%sssl_ca_certs=%s" .url (ternary "&" "?" (contains "?" .url)) .file -}}
{{- else -}}
{{- .url -}}
{{- end -}}
{{- end }}

{{/* The name of each Secret, generated or the user's. */}}
{{- define "marea.valkeySecret" -}}
{{- default (printf "%s-valkey" (include "marea.fullname" .)) .Values.valkey.existingSecret -}}
{{- end }}
{{- define "marea.rabbitmqSecret" -}}
{{- default (printf "%s-rabbitmq" (include "marea.fullname" .)) .Values.rabbitmq.existingSecret -}}
{{- end }}
{{- define "marea.storeSecret" -}}
{{- default (printf "%s-store" (include "marea.fullname" .)) .Values.store.bundled.existingSecret -}}
{{- end }}
{{- define "marea.gatewaySecret" -}}
{{- default (printf "%s-gateway" (include "marea.fullname" .)) .Values.gateway.existingSecret -}}
{{- end }}
{{- define "marea.brokerSecret" -}}
{{- if eq .Values.broker.kind "valkey" }}{{ include "marea.valkeySecret" . }}
{{- else if eq .Values.broker.kind "rabbitmq" }}{{ include "marea.rabbitmqSecret" . }}
{{- else }}{{ .Values.broker.external.existingSecret }}{{ end -}}
{{- end }}
{{- define "marea.ledgerSecret" -}}
{{- if eq .Values.ledger.kind "bundled" }}{{ include "marea.valkeySecret" . }}
{{- else }}{{ .Values.ledger.external.existingSecret }}{{ end -}}
{{- end }}

{{/* (dict "server" .Values.broker) */}}
{{- define "marea.sentinelSecret" -}}
{{- if eq .server.kind "external" }}{{ .server.external.sentinelSecret }}{{ end -}}
{{- end }}

{{/* A password that was made up once: (dict "root" $ "secret" NAME "key" KEY). The same again
     where the cluster has it. Alphanumeric, so that no place it is written to has to quote it. */}}
{{- define "marea.kept" -}}
{{- $found := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- if and $found (hasKey (default dict $found.data) .key) -}}
{{- index $found.data .key | b64dec -}}
{{- else -}}
{{- randAlphaNum 32 -}}
{{- end -}}
{{- end }}

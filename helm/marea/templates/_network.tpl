{{/* Pieces of NetworkPolicies. Which process talks to whom is said once, in networkpolicies.yaml. */}}

{{/* (dict "root" $ "components" (list "gateway" …)): peers among the pods of this release */}}
{{- define "marea.peers" -}}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ include "marea.name" .root }}
      app.kubernetes.io/instance: {{ .root.Release.Name }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: [{{ join ", " .components }}]}
      {{- if has "worker" .components }}
      - {key: marea/app, operator: DoesNotExist}
      {{- end }}
{{- end }}

{{/* Who uses a bundled broker for tasks of their own: app pools on it, and those who send them tasks. */}}
{{- define "marea.taskPeers" -}}
{{- $pools := list -}}
{{- range include "marea.appPools" . | fromYamlArray -}}
{{- if eq .celery.broker "bundled" }}{{ $pools = append $pools .name }}{{ end -}}
{{- end -}}
{{- if $pools }}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ include "marea.name" . }}
      app.kubernetes.io/instance: {{ .Release.Name }}
    matchExpressions:
      - {key: marea/app, operator: In, values: [{{ join ", " $pools }}]}
{{- if .Values.networkPolicy.tasksFrom }}
{{ toYaml .Values.networkPolicy.tasksFrom }}
{{- else }}
- podSelector:
    matchLabels:
      {{ include "marea.tasksLabel" . }}: "true"
{{- end }}
{{- end }}
{{- end }}

{{/* Brokers of app pools whose addresses are in Secrets of the user's: known by their usual ports. */}}
{{- define "marea.toAppBrokers" -}}
- to:
    {{- include "marea.outside" .Values.networkPolicy.externalCidrs | trim | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.brokerPorts }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{/* Networks outside, without the address where clouds hand out credentials. */}}
{{- define "marea.outside" -}}
{{- range . }}
- ipBlock:
    cidr: {{ . | quote }}
    {{- if eq . "0.0.0.0/0" }}
    except: [169.254.169.254/32]
    {{- else if eq . "::/0" }}
    except: ["fd00:ec2::254/128"]
    {{- end }}
{{- end }}
{{- end }}

{{/* No selector names it, and its Service hides its port. */}}
{{- define "marea.toApiServer" -}}
- to:
    {{- include "marea.outside" .Values.networkPolicy.apiServer.cidrs | trim | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.apiServer.ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{- define "marea.dns" -}}
- to:
    {{- include "marea.outside" (list "0.0.0.0/0" "::/0") | trim | nindent 4 }}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}

{{/* (dict "root" $ "url" URL): egress to an external address, on its ports */}}
{{- define "marea.toOutside" -}}
{{- $scheme := first (splitList "://" .url) -}}
{{- $hosts := regexReplaceAll "^[a-z0-9+]+://([^@/]*@)?([^/?]*).*$" .url "${2}" -}}
{{- $default := get (dict "http" 80 "https" 443 "redis" 6379 "rediss" 6379 "redis+sentinel" 26379 "amqp" 5672 "amqps" 5671) $scheme | default 443 -}}
{{- $ports := list -}}
{{- range splitList "," $hosts -}}
{{- $port := regexFind ":[0-9]+$" . | trimPrefix ":" -}}
{{- $ports = append $ports (default $default $port | int) -}}
{{- end -}}
{{- if eq $scheme "redis+sentinel" }}{{ $ports = append $ports 6379 }}{{ end }}
- to:
    {{- include "marea.outside" .root.Values.networkPolicy.externalCidrs | trim | nindent 4 }}
  ports:
    {{- range uniq $ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{- define "marea.toStore" -}}
{{- if include "marea.hasStore" . }}
- to:
    {{- include "marea.peers" (dict "root" . "components" (list "store")) | nindent 4 }}
  ports:
    - {protocol: TCP, port: 9000}
{{- else }}
{{- include "marea.toOutside" (dict "root" . "url" (default "https://s3" .Values.store.external.endpointUrl)) }}
{{- end }}
{{- end }}

{{- define "marea.toBrokerAndLedger" -}}
{{- if include "marea.hasValkey" . }}
- to:
    {{- include "marea.peers" (dict "root" . "components" (list "valkey")) | nindent 4 }}
  ports:
    - {protocol: TCP, port: 6379}
{{- end }}
{{- if include "marea.hasRabbitmq" . }}
- to:
    {{- include "marea.peers" (dict "root" . "components" (list "rabbitmq")) | nindent 4 }}
  ports:
    - {protocol: TCP, port: 5672}
    - {protocol: TCP, port: 15672}
{{- end }}
{{- if eq .Values.broker.kind "external" }}
{{- include "marea.toOutside" (dict "root" . "url" .Values.broker.external.url) }}
{{- with .Values.broker.external.managementUrl }}
{{- include "marea.toOutside" (dict "root" $ "url" .) }}
{{- end }}
{{- end }}
{{- if eq .Values.ledger.kind "external" }}
{{- include "marea.toOutside" (dict "root" . "url" .Values.ledger.external.url) }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "component" …): the head of a policy for the pods of one component */}}
{{- define "marea.policyHead" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "marea.metadata" (merge (dict "name" (printf "%s-%s" (include "marea.fullname" .root) .component)) .) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "marea.selectorLabels" . | nindent 6 }}
    {{- if eq .component "worker" }}
    matchExpressions:
      - {key: marea/app, operator: DoesNotExist}
    {{- end }}
  policyTypes: [Ingress, Egress]
{{- end }}

{{/* A list of peers of the user's, or any pod of this namespace. */}}
{{- define "marea.callers" -}}
{{- if . }}{{ toYaml . }}{{ else }}- podSelector: {}{{ end -}}
{{- end }}

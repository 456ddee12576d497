{{/* What the pods of every Marea process have in common. */}}

{{- define "marea.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "marea.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* (dict "root" $ "image" .Values.image) → image and pullPolicy of a container */}}
{{- define "marea.containerImage" -}}
image: {{ include "marea.imageReference" (dict "image" .image "tag" .root.Chart.AppVersion) }}
imagePullPolicy: {{ .image.pullPolicy }}
{{- end }}

{{/* Changes when what the process reads at its start does. A generated password is the same at
     every render of one release, since the cluster has it. */}}
{{- define "marea.checksums" -}}
checksum/settings: {{ printf "%s%s%s" (include "marea.settings" .) (toYaml .Values.rules) (toYaml .Values.pipelines) | sha256sum }}
{{- end }}

{{/* (dict "root" $ "process" "gateway" "values" .Values.gateway): environment of a process */}}
{{- define "marea.environment" -}}
- name: MAREA_SETTINGS_FILE
  value: /etc/marea/settings.yaml
{{- if include "marea.brokerSecret" .root }}
- name: MAREA_BROKER__PASSWORD_FILE
  value: /run/secrets/marea/broker-password
{{- end }}
{{- if include "marea.ledgerSecret" .root }}
- name: MAREA_LEDGER__PASSWORD_FILE
  value: /run/secrets/marea/ledger-password
{{- end }}
{{- range $what := list "broker" "ledger" }}
{{- if include "marea.sentinelSecret" (dict "server" (index $.root.Values $what)) }}
- name: MAREA_{{ upper $what }}__SENTINEL_PASSWORD_FILE
  value: /run/secrets/marea/{{ $what }}-sentinel-password
{{- end }}
{{- end }}
{{- if ne .process "autoscaler" }}
{{- include "marea.storeEnvironment" . }}
{{- end }}
{{- if and .root.Values.notify.existingSecret (eq .process "reconciler") }}
- name: MAREA_NOTIFY__SECRET_FILE
  value: /run/secrets/marea/notify-secret
{{- end }}
{{- end }}

{{/* The store's key: of its own user in the bundled store, of a Secret for an external one. */}}
{{- define "marea.storeEnvironment" -}}
{{- if include "marea.hasStore" .root }}
- name: MAREA_STORE__ACCESS_KEY
  value: marea-{{ .process }}
- name: MAREA_STORE__SECRET_KEY_FILE
  value: /run/secrets/marea/store-secret-key
{{- else if include "marea.externalStoreSecret" . }}
- name: MAREA_STORE__ACCESS_KEY_FILE
  value: /run/secrets/marea/store-access-key
- name: MAREA_STORE__SECRET_KEY_FILE
  value: /run/secrets/marea/store-secret-key
{{- end }}
{{- if and (not (include "marea.hasStore" .root)) .root.Values.store.external.caSecret }}
- name: AWS_CA_BUNDLE
  value: /etc/marea-ca/store/ca.crt
{{- end }}
{{- end }}

{{- define "marea.externalStoreSecret" -}}
{{- dig .process .root.Values.store.external.existingSecret .root.Values.store.external.processSecrets -}}
{{- end }}

{{- define "marea.volumeMounts" -}}
- name: settings
  mountPath: /etc/marea
  readOnly: true
{{- if include "marea.secretSources" . | trim }}
- name: secrets
  mountPath: /run/secrets/marea
  readOnly: true
{{- end }}
- name: tmp
  mountPath: /tmp
{{- include "marea.caMounts" .root }}
{{- with .values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "process" "gateway" "values" .Values.gateway "tmp" "1Gi") */}}
{{- define "marea.volumes" -}}
- name: settings
  configMap:
    name: {{ include "marea.fullname" .root }}-settings
{{- with include "marea.secretSources" . | trim }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: {{ .tmp }}
{{- include "marea.caVolumes" .root }}
{{- with .values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "process" "gateway"): the files that a process finds its secrets in; each is given
     only its own */}}
{{- define "marea.secretSources" -}}
{{- if has .process (list "gateway" "worker" "reconciler" "autoscaler") }}
{{- with include "marea.brokerSecret" .root }}
- secret:
    name: {{ . }}
    items: [{key: password, path: broker-password}]
{{- end }}
{{- with include "marea.ledgerSecret" .root }}
- secret:
    name: {{ . }}
    items: [{key: password, path: ledger-password}]
{{- end }}
{{- range $what := list "broker" "ledger" }}
{{- with include "marea.sentinelSecret" (dict "server" (index $.root.Values $what)) }}
- secret:
    name: {{ . }}
    items: [{key: password, path: {{ $what }}-sentinel-password}]
{{- end }}
{{- end }}
{{- end }}
{{- if ne .process "autoscaler" }}
{{- include "marea.storeSecretSource" . }}
{{- end }}
{{- if eq .process "autoscaler" }}
{{- range $pool := include "marea.appPools" .root | fromYamlArray }}
- secret:
    name: {{ include "marea.appSecret" (dict "root" $.root "pool" $pool) }}
    items: [{key: broker-url, path: apps/{{ $pool.name }}/broker-url}]
{{- end }}
{{- end }}
{{- if eq .process "gateway" }}
- secret:
    name: {{ include "marea.gatewaySecret" .root }}
    items: [{key: event-token, path: event-token}]
{{- end }}
{{- if eq .process "loadtest" }}
- secret:
    name: {{ include "marea.gatewaySecret" .root }}
    items: [{key: load-token, path: api-token}]
{{- end }}
{{- if and .root.Values.notify.existingSecret (eq .process "reconciler") }}
- secret:
    name: {{ .root.Values.notify.existingSecret }}
    items: [{key: secret, path: notify-secret}]
{{- end }}
{{- end }}

{{- define "marea.storeSecretSource" -}}
{{- if include "marea.hasStore" .root }}
- secret:
    name: {{ include "marea.storeSecret" .root }}
    items: [{key: {{ .process }}, path: store-secret-key}]
{{- else if include "marea.externalStoreSecret" . }}
- secret:
    name: {{ include "marea.externalStoreSecret" . }}
    items: [{key: access-key, path: store-access-key}, {key: secret-key, path: store-secret-key}]
{{- end }}
{{- end }}

{{/* The CA of each external server that has one of its own: place → Secret, as YAML. */}}
{{- define "marea.caSecrets" -}}
{{- if eq .Values.broker.kind "external" }}{{ with .Values.broker.external.caSecret }}
broker: {{ . }}
{{- end }}{{ end }}
{{- if eq .Values.ledger.kind "external" }}{{ with .Values.ledger.external.caSecret }}
ledger: {{ . }}
{{- end }}{{ end }}
{{- if eq .Values.store.kind "external" }}{{ with .Values.store.external.caSecret }}
store: {{ . }}
{{- end }}{{ end }}
{{- end }}
{{- define "marea.caMounts" -}}
{{- range $place, $_ := include "marea.caSecrets" . | fromYaml }}
- name: ca-{{ $place }}
  mountPath: /etc/marea-ca/{{ $place }}
  readOnly: true
{{- end }}
{{- end }}
{{- define "marea.caVolumes" -}}
{{- range $place, $secret := include "marea.caSecrets" . | fromYaml }}
- name: ca-{{ $place }}
  secret:
    secretName: {{ $secret }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end }}

{{/* (dict "values" .Values.gateway): where a pod may run */}}
{{- define "marea.placement" -}}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "component" … "pool" … "values" …): over nodes, unless the values say where */}}
{{- define "marea.spread" -}}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "marea.selectorLabels" . | nindent 8 }}
{{- end }}
{{- end }}

{{- define "marea.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* (dict "root" $ "component" … "pool" … "values" …): metadata of a process's pods. Without the
     chart's version, so that an upgrade restarts only what it changes. */}}
{{- define "marea.podMetadata" -}}
labels:
  {{- include "marea.selectorLabels" . | nindent 2 }}
  app.kubernetes.io/part-of: marea
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  {{- include "marea.checksums" .root | nindent 2 }}
  {{- with .root.Values.commonAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

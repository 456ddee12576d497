{{/* Who has a user in the bundled store, as JSON: those whose secrets are in its Secret. */}}
{{- define "marea.storeUsers" -}}
{{- $users := list "gateway" "worker" "reconciler" "uploader" -}}
{{- if .Values.loadtest.enabled }}{{ $users = append $users "loadtest" }}{{ end -}}
{{- toJson $users -}}
{{- end }}

{{- define "marea.prepareSpec" -}}
{{- $parts := dict "root" . "component" "store-prepare" "process" "store-prepare" "values" dict "tmp" "16Mi" -}}
{{- $external := .Values.store.external -}}
{{- $adminSecret := ternary (include "marea.storeSecret" .) (default $external.existingSecret $external.prepare.existingSecret) (eq .Values.store.kind "bundled") -}}
{{- $accessKey := ternary "root-user" "access-key" (eq .Values.store.kind "bundled") -}}
{{- $secretKey := ternary "root-password" "secret-key" (eq .Values.store.kind "bundled") -}}
backoffLimit: 10
{{- with .Values.store.prepare.ttlSecondsAfterFinished }}
ttlSecondsAfterFinished: {{ . }}
{{- end }}
template:
  metadata:
    labels:
      {{- include "marea.selectorLabels" $parts | nindent 6 }}
      app.kubernetes.io/part-of: marea
      {{- with .Values.commonLabels }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  spec:
    restartPolicy: OnFailure
    automountServiceAccountToken: false
    enableServiceLinks: false
    {{- include "marea.pullSecrets" . | nindent 4 }}
    securityContext:
      {{- include "marea.podSecurityContext" . | nindent 6 }}
    containers:
      - name: prepare
        {{- include "marea.containerImage" (dict "root" . "image" .Values.image) | nindent 8 }}
        args:
          - store
          - prepare
          - --timeout-s
          - "600"
          {{- if include "marea.hasStore" . }}
          - --users
          - /run/secrets/users
          - --events
          - MAREA_DIRECT
          - --events
          - MAREA
          {{- else }}
          - {{ ternary "--create-buckets" "--no-create-buckets" $external.prepare.createBuckets }}
          - {{ ternary "--versioning" "--no-versioning" $external.prepare.versioning }}
          {{- range $external.prepare.eventTargets }}
          - --events
          - {{ . | quote }}
          {{- end }}
          {{- end }}
        env:
          - name: MAREA_SETTINGS_FILE
            value: /etc/marea/settings.yaml
          {{- if $adminSecret }}
          - name: MAREA_STORE__ACCESS_KEY_FILE
            value: /run/secrets/marea/store-access-key
          - name: MAREA_STORE__SECRET_KEY_FILE
            value: /run/secrets/marea/store-secret-key
          {{- end }}
          {{- if and (not (include "marea.hasStore" .)) $external.caSecret }}
          - name: AWS_CA_BUNDLE
            value: /etc/marea-ca/store/ca.crt
          {{- end }}
        securityContext:
          {{- include "marea.securityContext" . | nindent 10 }}
        resources:
          {{- toYaml .Values.store.prepare.resources | nindent 10 }}
        volumeMounts:
          - {name: settings, mountPath: /etc/marea, readOnly: true}
          - {name: tmp, mountPath: /tmp}
          {{- if $adminSecret }}
          - {name: secrets, mountPath: /run/secrets/marea, readOnly: true}
          {{- end }}
          {{- if include "marea.hasStore" . }}
          - {name: users, mountPath: /run/secrets/users, readOnly: true}
          {{- end }}
          {{- include "marea.caMounts" . | indent 10 }}
    volumes:
      - name: settings
        configMap:
          name: {{ include "marea.fullname" . }}-settings
      - name: tmp
        emptyDir: {sizeLimit: 16Mi}
      {{- if $adminSecret }}
      - name: secrets
        secret:
          secretName: {{ $adminSecret }}
          defaultMode: 0440
          items: [{key: {{ $accessKey }}, path: store-access-key}, {key: {{ $secretKey }}, path: store-secret-key}]
      {{- end }}
      {{- if include "marea.hasStore" . }}
      - name: users
        secret:
          secretName: {{ $adminSecret }}
          defaultMode: 0440
          items:
            {{- range $user := include "marea.storeUsers" . | fromJsonArray }}
            - {key: {{ $user }}, path: {{ $user }}}
            {{- end }}
      {{- end }}
      {{- include "marea.caVolumes" . | indent 6 }}
{{- end }}

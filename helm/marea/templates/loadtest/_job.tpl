{{/* Where its reports lie, as an address in the bucket. */}}
{{- define "marea.loadReports" -}}
s3://{{ .Values.store.resultsBucket }}/{{ dig "store" "reserved_prefix" ".marea/" .Values.settings }}loadtest/
{{- end }}

{{/* A Job cannot be changed: another spec, or another scenario, is another Job. */}}
{{- define "marea.loadtestName" -}}
{{- $load := .Values.loadtest -}}
{{- printf "%s-loadtest-%s" (include "marea.fullname" .) (printf "%s%s%s" (include "marea.loadtestSpec" .) (toJson $load.scenarioFiles) (toString $load.run) | sha256sum | trunc 8) -}}
{{- end }}

{{/* Its image: the platform's, in the shape with the extra. */}}
{{- define "marea.loadtestImage" -}}
{{- $own := .Values.loadtest.image -}}
{{- $tag := printf "%s-load" (default .Chart.AppVersion .Values.image.tag) -}}
{{- $image := dict "repository" (default .Values.image.repository $own.repository) "tag" $own.tag "digest" $own.digest -}}
image: {{ include "marea.imageReference" (dict "image" $image "tag" $tag) }}
imagePullPolicy: {{ default .Values.image.pullPolicy $own.pullPolicy }}
{{- end }}

{{- define "marea.loadtestSpec" -}}
{{- $load := .Values.loadtest -}}
{{- $parts := dict "root" . "component" "loadtest" "process" "loadtest" "values" $load -}}
# Once: another attempt would find the queue as the first one left it.
backoffLimit: 0
activeDeadlineSeconds: {{ $load.activeDeadlineSeconds }}
{{- if not (kindIs "invalid" $load.ttlSecondsAfterFinished) }}
ttlSecondsAfterFinished: {{ $load.ttlSecondsAfterFinished }}
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
    restartPolicy: Never
    serviceAccountName: {{ include "marea.serviceAccountName" $parts }}
    # It looks at pods and Deployments.
    automountServiceAccountToken: true
    enableServiceLinks: false
    {{- include "marea.pullSecrets" . | nindent 4 }}
    securityContext:
      {{- include "marea.podSecurityContext" . | nindent 6 }}
    terminationGracePeriodSeconds: {{ $load.graceSeconds }}
    {{- include "marea.placement" $parts | nindent 4 }}
    containers:
      - name: loadtest
        {{- include "marea.loadtestImage" . | nindent 8 }}
        command: [tini, --, python, -m, loadtest]
        args:
          - run
          - {{ ternary (printf "/etc/loadtest/%s" $load.scenario) $load.scenario (not (empty $load.scenarioFiles)) | quote }}
          - --env
          - "-"
          - --namespace
          - {{ .Release.Namespace }}
          - --out
          - /tmp/run
          - --wait
          - {{ $load.waitSeconds | quote }}
          - --store-report
          - {{ include "marea.loadReports" . | quote }}
          - --json
        env:
          - name: MAREA_STORE__ENDPOINT_URL
            value: {{ include "marea.storeUrl" . | default (printf "https://s3.%s.amazonaws.com" .Values.store.region) | quote }}
          - name: MAREA_STORE__REGION
            value: {{ .Values.store.region | quote }}
          {{- include "marea.storeEnvironment" $parts | trim | nindent 10 }}
          {{- if and (not (include "marea.hasStore" .)) .Values.store.external.caSecret }}
          # Upload forms are sent by another client than botocore.
          - name: REQUESTS_CA_BUNDLE
            value: /etc/marea-ca/store/ca.crt
          {{- end }}
          - name: LOADTEST_SOURCE_BUCKET
            value: {{ first .Values.store.sourceBuckets }}
          - name: LOADTEST_RESULTS_BUCKET
            value: {{ .Values.store.resultsBucket }}
          - name: LOADTEST_GATEWAY_URL
            value: http://{{ include "marea.fullname" . }}-gateway.{{ .Release.Namespace }}.svc:{{ .Values.gateway.service.port }}
          - name: LOADTEST_API_TOKEN_FILE
            value: /run/secrets/marea/api-token
        securityContext:
          {{- include "marea.securityContext" . | nindent 10 }}
        resources:
          {{- toYaml $load.resources | nindent 10 }}
        volumeMounts:
          - {name: secrets, mountPath: /run/secrets/marea, readOnly: true}
          - {name: tmp, mountPath: /tmp}
          {{- if $load.scenarioFiles }}
          - {name: scenario, mountPath: /etc/loadtest/{{ $load.scenario }}, readOnly: true}
          {{- end }}
          {{- include "marea.caMounts" . | indent 10 }}
    volumes:
      - name: secrets
        projected:
          defaultMode: 0440
          sources:
            {{- include "marea.secretSources" $parts | trim | nindent 12 }}
      - name: tmp
        emptyDir: {sizeLimit: 256Mi}
      {{- if $load.scenarioFiles }}
      - name: scenario
        configMap:
          name: {{ include "marea.fullname" . }}-loadtest
      {{- end }}
      {{- include "marea.caVolumes" . | indent 6 }}
{{- end }}

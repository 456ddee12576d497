{{/* (dict "root" $ "component" … "name" … "service" NAME "port" NUMBER "ingress" VALUES) */}}
{{- define "marea.ingress" -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  {{- include "marea.metadata" (merge (dict "annotations" .ingress.annotations) .) | nindent 2 }}
spec:
  {{- with .ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .ingress.tls }}
  tls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
    {{- range .ingress.hosts }}
    - host: {{ . | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service: {name: {{ $.service }}, port: {number: {{ $.port }}}}
    {{- end }}
{{- end }}

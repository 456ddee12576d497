{{/* (dict "pool" $pool): how an HPA follows the number that the autoscaler decided on. Up in one step,
     whatever it takes (15 s is how often an HPA looks). Down only to the highest number of the last
     minute (arbitrary, four looks): the HPA does not know who is busy, so each step that is not made
     spares jobs. */}}
{{- define "marea.scalerBehavior" -}}
scaleUp:
  stabilizationWindowSeconds: 0
  policies:
    - {type: Pods, value: {{ int .pool.scaling.maxReplicas }}, periodSeconds: 15}
scaleDown:
  stabilizationWindowSeconds: 60
{{- end }}

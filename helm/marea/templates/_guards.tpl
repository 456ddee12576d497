{{/* Combinations that would break a promise, refused with a sentence that says what to change.
     All of them at once: the first of five errors is an unkind way to learn of the fifth. */}}
{{- define "marea.guards" -}}
{{- $problems := concat
      (include "marea.guardTimes" . | fromYamlArray)
      (include "marea.guardPools" . | fromYamlArray)
      (include "marea.guardApps" . | fromYamlArray)
      (include "marea.guardServers" . | fromYamlArray)
      (include "marea.guardSettings" . | fromYamlArray)
      (include "marea.guardOwners" . | fromYamlArray)
      (include "marea.guardLoadtest" . | fromYamlArray)
      (include "marea.guardSecrets" . | fromYamlArray) -}}
{{- if $problems -}}
{{- fail (printf "\n\nmarea cannot be installed like this:\n  - %s\n" (join "\n  - " $problems)) -}}
{{- end -}}
{{- end }}

{{- define "marea.guardTimes" -}}
{{- $soft := int .Values.timeLimits.softSeconds -}}
{{- $hard := int .Values.timeLimits.hardSeconds -}}
{{- $grace := int (include "marea.graceSeconds" .) -}}
{{- $problems := list -}}
{{- if le $hard $soft -}}
{{- $problems = append $problems (printf "timeLimits.hardSeconds (%d) must be above timeLimits.softSeconds (%d): a job is asked to stop before it is killed" $hard $soft) -}}
{{- end -}}
{{- if lt $grace (add $hard 30 | int) -}}
{{- $problems = append $problems (printf "timeLimits.graceSeconds (%d) is below timeLimits.hardSeconds + 30 (%d): a busy worker would be killed by every upgrade; leave it empty to have it derived" $grace (add $hard 30)) -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end }}

{{- define "marea.guardPools" -}}
{{- $problems := list -}}
{{- $names := list -}}
{{- $apps := list -}}
{{- range $pool := include "marea.pools" . | fromYamlArray -}}
{{- if has $pool.name (concat $names $apps) -}}
{{- $problems = append $problems (printf "pools: %q stands there twice; one entry is one pool" $pool.name) -}}
{{- end -}}
{{- if $pool.celery }}{{ $apps = append $apps $pool.name }}{{ else }}{{ $names = append $names $pool.name }}{{ end -}}
{{- $slots := int (include "marea.slots" (dict "pool" $pool)) -}}
{{- if and (eq $pool.name "quarantine") (ne $slots 1) -}}
{{- $problems = append $problems "pools: quarantine must have concurrency 1: it runs jobs alone to see which of them takes its worker along" -}}
{{- end -}}
{{- $limit := dig "limits" "memory" "" $pool.resources -}}
{{- if not $limit -}}
{{- $problems = append $problems (printf "pools: %s has no resources.limits.memory: a bad file could take the whole node's" $pool.name) -}}
{{- else if not $pool.celery -}}
{{- $needed := add (mul $slots (include "marea.bytes" $pool.memoryPerJob | int64)) 268435456 -}}
{{- if gt $needed (include "marea.bytes" $limit | int64) -}}
{{- $problems = append $problems (printf "pools: %s runs %d jobs of up to %s (memoryPerJob) and needs 256Mi itself, which is %dMi and above its memory limit of %s: the kernel would kill all of them for one; raise the limit, or lower concurrency or memoryPerJob" $pool.name $slots $pool.memoryPerJob (div $needed 1048576) $limit) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not (has "quarantine" $names) -}}
{{- $problems = append $problems "pools: there is no pool named quarantine; jobs that were there when a worker was lost would wait for ever: add {name: quarantine, concurrency: 1}" -}}
{{- end -}}
{{- range $what, $document := dict "rules" .Values.rules "pipelines" .Values.pipelines -}}
{{- if $document -}}
{{- range (include "marea.document" $document | fromYaml | dig $what list) -}}
{{- if and (kindIs "map" .) (hasKey . "pool") (has .pool $apps) -}}
{{- $problems = append $problems (printf "%s: %s sends jobs to the pool %s, which runs a Celery application of its own and knows no uploads: name a pool without celery" $what (default "one without a name" .name | toString) (toString .pool)) -}}
{{- else if and (kindIs "map" .) (hasKey . "pool") (not (has .pool $names)) -}}
{{- $problems = append $problems (printf "%s: %s sends jobs to the pool %s, which is not among pools (%s); they would wait for ever: add it there, or name another" $what (default "one without a name" .name | toString) (toString .pool) (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end }}

{{- define "marea.guardServers" -}}
{{- $problems := list -}}
{{- range $what, $external := dict "broker" .Values.broker "ledger" .Values.ledger -}}
{{- if eq $external.kind "external" -}}
{{- if not $external.external.url -}}
{{- $problems = append $problems (printf "%s.kind is external, so %s.external.url is needed, e.g. rediss://marea@redis.example.org:6379/0" $what $what) -}}
{{- else if regexMatch "^[a-z0-9+]+://[^/@]*:[^/@]*@" $external.external.url -}}
{{- $problems = append $problems (printf "%s.external.url holds a password; put it into a Secret and name that in %s.external.existingSecret" $what $what) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.ledger.kind "external") .Values.ledger.external.url (not (regexMatch "^(rediss?|redis\\+sentinel)://" .Values.ledger.external.url)) -}}
{{- $problems = append $problems "ledger.external.url must begin with redis://, rediss:// or redis+sentinel://: the ledger lives in Redis or Valkey, whatever the broker is" -}}
{{- end -}}
{{- if and (eq .Values.broker.kind "external") .Values.broker.external.url (not (regexMatch "^(rediss?|redis\\+sentinel|amqps?)://" .Values.broker.external.url)) -}}
{{- $problems = append $problems "broker.external.url must begin with redis://, rediss://, redis+sentinel://, amqp:// or amqps://" -}}
{{- end -}}
{{- if and (eq .Values.broker.kind "external") (eq .Values.ledger.kind "external") (eq .Values.broker.external.url .Values.ledger.external.url) .Values.broker.external.url -}}
{{- $problems = append $problems "broker.external.url and ledger.external.url are the same database: give each its own, e.g. …/0 and …/1" -}}
{{- end -}}
{{- if and (include "marea.hasValkey" .) (regexMatch "(?m)^\\s*maxmemory-policy\\s+(\"?)(allkeys|volatile)" .Values.valkey.extraConfig) -}}
{{- $problems = append $problems "valkey.extraConfig sets an evicting maxmemory-policy: queues and ledger rows would vanish when memory is short; leave noeviction and raise valkey.maxmemory" -}}
{{- end -}}
{{- if and (eq .Values.store.kind "external") .Values.store.external.prepare.eventTargets (not .Values.store.external.prepare.enabled) -}}
{{- $problems = append $problems "store.external.prepare.eventTargets is set, but nobody connects them: set store.external.prepare.enabled too" -}}
{{- end -}}
{{- if has .Values.store.resultsBucket .Values.store.sourceBuckets -}}
{{- $problems = append $problems (printf "store.resultsBucket %q is also one of store.sourceBuckets: results would be taken for uploads" .Values.store.resultsBucket) -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end }}

{{/* `settings` is for what has no value of its own; a second place would be the one that wins
     unseen. */}}
{{- define "marea.guardSettings" -}}
{{- $problems := list -}}
{{- $owned := dict
      "store.endpoint_url" "store.external.endpointUrl" "store.source_buckets" "store.sourceBuckets"
      "store.results_bucket" "store.resultsBucket" "store.region" "store.region"
      "store.public_endpoint_url" "store.publicUrl" "store.allow_unordered" "store.allowUnordered"
      "store.access_key" "store.external.existingSecret" "store.secret_key" "store.external.existingSecret"
      "broker.url" "broker.external.url" "broker.password" "broker.external.existingSecret"
      "broker.sentinel_password" "broker.external.sentinelSecret" "ledger.sentinel_password" "ledger.external.sentinelSecret"
      "broker.management_url" "broker.external.managementUrl"
      "ledger.url" "ledger.external.url" "ledger.password" "ledger.external.existingSecret" "ledger.prefix" "ledger.prefix"
      "gateway.host" "gateway.service" "gateway.port" "gateway.service.port"
      "gateway.event_token" "gateway.existingSecret" "gateway.api_tokens" "gateway.existingSecret"
      "worker.pool" "pools[].name" "worker.concurrency" "pools[].concurrency"
      "worker.replica" "nothing: a replica is called as its pod"
      "worker.memory_limit_bytes" "pools[].memoryPerJob"
      "worker.soft_time_limit_s" "timeLimits.softSeconds" "worker.hard_time_limit_s" "timeLimits.hardSeconds"
      "worker.liveness_file" "nothing: the probes need it" "reconciler.liveness_file" "nothing: the probes need it"
      "worker.liveness_port" "nothing: the probes need it" "reconciler.liveness_port" "nothing: the probes need it"
      "autoscaler.mode" "autoscaler.mode" "autoscaler.drain_s" "autoscaler.drainSeconds"
      "autoscaler.slots" "pools[].concurrency" "autoscaler.max_replicas" "pools[].scaling.maxReplicas"
      "autoscaler.idle_after_s" "autoscaler.idleAfterSeconds" "autoscaler.startup_s" "autoscaler.startupSeconds"
      "autoscaler.budget" "autoscaler.budget" "autoscaler.pools" "pools[].scaling" "autoscaler.apps" "pools[].celery"
      "autoscaler.release" "nothing: it is this release" "autoscaler.namespace" "nothing: it is the release's"
      "autoscaler.name" "nothing: it is named after the release"
      "autoscaler.liveness_file" "nothing: the probes need it" "autoscaler.liveness_port" "nothing: the probes need it"
      "notify.url" "notify.url" "notify.secret" "notify.existingSecret" -}}
{{- range $section, $fields := .Values.settings -}}
{{- if kindIs "map" $fields -}}
{{- range $field, $_ := $fields -}}
{{- with get $owned (printf "%s.%s" $section $field) -}}
{{- $problems = append $problems (printf "settings.%s.%s has a value of its own: %s" $section $field .) -}}
{{- end -}}
{{- end -}}
{{- else if has $section (list "rules_file" "pipelines_file") -}}
{{- $problems = append $problems (printf "settings.%s has a value of its own: %s" $section (trimSuffix "_file" $section)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end }}

{{/* One owner of a pool's replicas: an autoscaler among the extra objects, or the chart. */}}
{{- define "marea.guardOwners" -}}
{{- $problems := list -}}
{{- $fixed := dict -}}
{{- $scaled := dict -}}
{{- range $pool := include "marea.pools" . | fromYamlArray -}}
{{- $deployment := printf "%s-worker-%s" (include "marea.fullname" $) $pool.name -}}
{{- if ne $.Values.autoscaler.mode "none" -}}
{{- $_ := set $scaled $deployment true -}}
{{- else if not (kindIs "invalid" $pool.replicas) -}}
{{- $_ := set $fixed $deployment (printf "the replicas of pool %s (replicas: null)" $pool.name) -}}
{{- end -}}
{{- end -}}
{{- range .Values.pools -}}
{{- if and (ne $.Values.autoscaler.mode "none") (not (kindIs "invalid" .replicas)) -}}
{{- $problems = append $problems (printf "pools: %s has replicas, which autoscaler.mode %s would change again: give scaling.minReplicas and scaling.maxReplicas instead, or set autoscaler.mode to none" .name $.Values.autoscaler.mode) -}}
{{- end -}}
{{- end -}}
{{- range $pool := include "marea.pools" . | fromYamlArray -}}
{{- if lt (int $pool.scaling.maxReplicas) (int $pool.scaling.minReplicas) -}}
{{- $problems = append $problems (printf "pools: %s has scaling.minReplicas %d above scaling.maxReplicas %d" $pool.name (int $pool.scaling.minReplicas) (int $pool.scaling.maxReplicas)) -}}
{{- end -}}
{{- if gt (int $pool.scaling.floor) (int $pool.scaling.maxReplicas) -}}
{{- $problems = append $problems (printf "pools: %s has scaling.floor %d above scaling.maxReplicas %d" $pool.name (int $pool.scaling.floor) (int $pool.scaling.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- /* A cluster lists kinds among its API versions, a rendering alone only versions. */ -}}
{{- if and (eq .Values.autoscaler.mode "keda") (.Capabilities.APIVersions.Has "apps/v1/Deployment") (not (.Capabilities.APIVersions.Has "keda.sh/v1alpha1/ScaledObject")) -}}
{{- $problems = append $problems "autoscaler.mode is keda, and this cluster knows no ScaledObject (keda.sh/v1alpha1): install KEDA first, or let autoscaler.mode be builtin, which needs nothing" -}}
{{- end -}}
{{- if not (kindIs "invalid" .Values.gateway.replicas) -}}
{{- $_ := set $fixed (printf "%s-gateway" (include "marea.fullname" .)) "gateway.replicas (null)" -}}
{{- end -}}
{{- range .Values.extraObjects -}}
{{- $object := ternary (tpl (toString .) $) (tpl (toYaml .) $) (kindIs "string" .) | fromYaml -}}
{{- $target := dig "spec" "scaleTargetRef" "name" "" $object -}}
{{- if not (has $object.kind (list "HorizontalPodAutoscaler" "ScaledObject")) -}}
{{- else if hasKey $scaled $target -}}
{{- $problems = append $problems (printf "extraObjects: the %s for %s and this chart's autoscaler would undo each other's changes all the time; leave that object out, or let it own all pools by autoscaler.mode none" $object.kind $target) -}}
{{- else if hasKey $fixed $target -}}
{{- $problems = append $problems (printf "extraObjects: the %s for %s and this chart would both own its replicas, and undo each other at every upgrade; unset %s" $object.kind $target (get $fixed $target)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end }}

{{/* A scenario is two files: one of them says nothing. */}}
{{- define "marea.guardLoadtest" -}}
{{- $problems := list -}}
{{- $given := keys .Values.loadtest.scenarioFiles | sortAlpha -}}
{{- $parts := list "load.yaml" "expect.yaml" -}}
{{- range $given -}}
{{- if not (has . $parts) -}}
{{- $problems = append $problems (printf "loadtest.scenarioFiles has %s, which nothing reads: a scenario is load.yaml and expect.yaml" .) -}}
{{- end -}}
{{- end -}}
{{- range $parts -}}
{{- if and $given (not (has . $given)) -}}
{{- $problems = append $problems (printf "loadtest.scenarioFiles has no %s: a scenario is load.yaml and expect.yaml; give both, or none to run one of the image's own" .) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end }}

{{/* Without a cluster nothing made up can be kept: each rendering would change every password. A
     cluster lists kinds among its API versions, a rendering alone only versions. */}}
{{- define "marea.guardSecrets" -}}
{{- $problems := list -}}
{{- if not (or .Values.secrets.renderWithoutCluster (.Capabilities.APIVersions.Has "apps/v1/Deployment")) -}}
{{- $needed := list -}}
{{- if not .Values.gateway.existingSecret }}{{ $needed = append $needed "gateway.existingSecret" }}{{ end -}}
{{- if and (include "marea.hasStore" .) (not .Values.store.bundled.existingSecret) }}{{ $needed = append $needed "store.bundled.existingSecret" }}{{ end -}}
{{- if and (include "marea.hasValkey" .) (not .Values.valkey.existingSecret) }}{{ $needed = append $needed "valkey.existingSecret" }}{{ end -}}
{{- if and (include "marea.hasRabbitmq" .) (not .Values.rabbitmq.existingSecret) }}{{ $needed = append $needed "rabbitmq.existingSecret" }}{{ end -}}
{{- range include "marea.projects" . | fromYamlArray -}}
{{- if not .existingSecret }}{{ $needed = append $needed (printf "celery.existingSecret of the pool %s" .name) }}{{ end -}}
{{- end -}}
{{- if $needed -}}
{{- $problems = append $problems (printf "rendered without a cluster, where passwords made up now could not be kept: create Secrets and name them in %s; only to look at the output, set secrets.renderWithoutCluster=true" (join ", " $needed)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end }}

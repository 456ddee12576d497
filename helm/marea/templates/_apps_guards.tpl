{{/* What of an app pool cannot work, or would touch what is Marea's. */}}
{{- define "marea.guardApps" -}}
{{- $problems := list -}}
{{- $projects := dict -}}
{{- $databases := dict -}}
{{- $served := dict -}}
{{- range $pool := include "marea.appPools" . | fromYamlArray -}}
{{- $app := $pool.celery -}}
{{- $image := default dict $app.image -}}
{{- if not (or $image.tag $image.digest) -}}
{{- $problems = append $problems (printf "pools: %s needs celery.image.tag or celery.image.digest: which version of the application it runs" $pool.name) -}}
{{- end -}}
{{- $isBundled := eq $app.broker "bundled" -}}
{{- if and $isBundled (eq $.Values.broker.kind "external") -}}
{{- $problems = append $problems (printf "pools: %s has celery.broker bundled, but broker.kind is external, so there is no bundled broker: let celery.broker be external and name a Secret with broker-url in celery.existingSecret" $pool.name) -}}
{{- end -}}
{{- if and (not $isBundled) (not $app.existingSecret) -}}
{{- $problems = append $problems (printf "pools: %s has celery.broker external and no celery.existingSecret: name a Secret with broker-url and, where results are kept, result-backend" $pool.name) -}}
{{- end -}}
{{- if and (not $isBundled) $app.project -}}
{{- $problems = append $problems (printf "pools: %s has celery.project, which is about the bundled broker, and celery.broker external: pools of one project name the same celery.existingSecret there" $pool.name) -}}
{{- end -}}
{{- if and $app.keys (or (not $isBundled) (not (include "marea.hasValkey" $))) -}}
{{- $problems = append $problems (printf "pools: %s has celery.keys, which are rights on the bundled Valkey, and uses none" $pool.name) -}}
{{- end -}}
{{- range $key := $app.keys -}}
{{- if or (hasPrefix "*" $key) (hasPrefix "?" $key) (hasPrefix "[" $key) (hasPrefix "marea" $key) (hasPrefix $.Values.ledger.prefix $key) (regexMatch "[.](high|normal)$" $key) -}}
{{- $problems = append $problems (printf "pools: %s may not have the Redis keys %q (celery.keys): Marea's own could be among them; begin with a name of the application's" $pool.name $key) -}}
{{- end -}}
{{- end -}}
{{- range $queue := $app.queues -}}
{{- if and $isBundled (or (hasPrefix "marea" $queue) (hasPrefix "unacked" $queue) (hasPrefix $.Values.ledger.prefix $queue) (regexMatch "[.](high|normal)$" $queue)) -}}
{{- $problems = append $problems (printf "pools: %s cannot take tasks from the queue %q (celery.queues): Marea's own queues are called so; give it another name, or a broker of its own" $pool.name $queue) -}}
{{- end -}}
{{- $place := printf "%s %s %s" $app.broker (ternary (default $pool.name $app.project) $app.existingSecret $isBundled) $queue -}}
{{- with get $served $place -}}
{{- $problems = append $problems (printf "pools: %s and %s both take tasks from the queue %q of one broker, and each would count the other's work as its own: give each pool its own queues" . $pool.name $queue) -}}
{{- end -}}
{{- $_ := set $served $place $pool.name -}}
{{- end -}}
{{- if $isBundled -}}
{{- $project := default $pool.name $app.project -}}
{{- $shared := printf "database %d, existingSecret %q, results %t" (int $app.database) $app.existingSecret $app.results -}}
{{- $other := get $projects $project -}}
{{- if and $other (ne $other $shared) -}}
{{- $problems = append $problems (printf "pools: %s is of the project %s and has celery %s, where another pool of it has %s: let them agree" $pool.name $project $shared $other) -}}
{{- end -}}
{{- $_ := set $projects $project $shared -}}
{{- $database := toString (int $app.database) -}}
{{- $owner := get $databases $database -}}
{{- if and $owner (ne $owner $project) -}}
{{- $problems = append $problems (printf "pools: the projects %s and %s both have celery.database %s of the bundled Valkey: their workers would give back each other's tasks; give one another number, 2 to 15, or one celery.project to both if they are one" $owner $project $database) -}}
{{- end -}}
{{- $_ := set $databases $database $project -}}
{{- end -}}
{{- end -}}
{{- range .Values.pools -}}
{{- if and .celery (hasKey . "memoryPerJob") -}}
{{- $problems = append $problems (printf "pools: %s has memoryPerJob, which Marea's own workers keep to and a Celery application does not: set resources.limits.memory, or celery.args: [--max-memory-per-child, KIB]" .name) -}}
{{- end -}}
{{- if and .celery (eq .name "quarantine") -}}
{{- $problems = append $problems "pools: quarantine runs jobs of Marea's alone and cannot have celery" -}}
{{- end -}}
{{- end -}}
{{- toYaml $problems -}}
{{- end }}

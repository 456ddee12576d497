//go:build tools

// Package keda pins the version of KEDA that `lab keda` builds; go.mod repeats KEDA's own replace
// lines, which Go does not take over from a dependency.
package keda

import _ "github.com/kedacore/keda/v2/apis/keda/v1alpha1"

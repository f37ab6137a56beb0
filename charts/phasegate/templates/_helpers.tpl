{{- define "phasegate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "phasegate.labels" -}}
app.kubernetes.io/part-of: phasegate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "phasegate.operator.selector" -}}
app.kubernetes.io/name: phasegate-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "phasegate.git.selector" -}}
app.kubernetes.io/name: phasegate-git
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "phasegate.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The operator as the API server knows it. */}}
{{- define "phasegate.operator.user" -}}
{{- printf "system:serviceaccount:%s:%s-operator" .Release.Namespace (include "phasegate.fullname" .) -}}
{{- end -}}

{{/* restricted Pod Security, for pods of our own. */}}
{{- define "phasegate.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "phasegate.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where a component's pods may run. */}}
{{- define "phasegate.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* A list of strings in CEL. */}}
{{- define "phasegate.cel.list" -}}
[{{ range $i, $word := . }}{{ if $i }}, {{ end }}'{{ $word }}'{{ end }}]
{{- end -}}

{{/*
Bindings of a policy that speaks of project namespaces: those that wear the label, and those onboarded by this
chart whether they wear it or not (a label can be taken off, a name cannot).
*/}}
{{- define "phasegate.policy.bindings" -}}
{{- $root := index . 0 }}{{ $policy := index . 1 }}{{ $params := index . 2 }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $policy }}
  labels: {{- include "phasegate.labels" $root | nindent 4 }}
spec:
  policyName: {{ $policy }}
  validationActions: [Deny]
  {{- with $params }}
  paramRef: {{- toYaml . | nindent 4 }}
  {{- end }}
  matchResources:
    namespaceSelector: {matchLabels: {phasegate.dev/project: "true"}}
{{- with $root.Values.projects }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $policy }}-named
  labels: {{- include "phasegate.labels" $root | nindent 4 }}
spec:
  policyName: {{ $policy }}
  validationActions: [Deny]
  {{- with $params }}
  paramRef: {{- toYaml . | nindent 4 }}
  {{- end }}
  matchResources:
    namespaceSelector:
      matchExpressions:
        - key: kubernetes.io/metadata.name
          operator: In
          values:
            {{- range . }}
            - {{ .name }}
            {{- end }}
{{- end }}
{{- end -}}

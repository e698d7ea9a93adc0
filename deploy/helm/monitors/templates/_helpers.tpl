{{- define "monitors.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}{{ $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end }}{{ end }}
{{- end }}

{{/* What a component's pods are found by; never changes, since a Deployment's selector can't. */}}
{{- define "monitors.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "monitors.labels" -}}
{{ include "monitors.selector" . }}
app.kubernetes.io/part-of: monitors
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Metadata of a component's object: name, namespace, labels. `suffix` overrides the component in its name. */}}
{{- define "monitors.metadata" -}}
name: {{ include "monitors.fullname" .root }}-{{ default .component .suffix }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "monitors.labels" . | nindent 2 }}
{{- end }}

{{- define "monitors.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.registry }}{{ . | trimSuffix "/" }}/{{ end }}monitors-{{ .component }}:{{ default .root.Chart.AppVersion $image.tag }}
{{- with get $image.digests .component }}@{{ . }}{{ end }}
{{- end }}

{{- define "monitors.isMesh" -}}{{ if eq .Values.mode "mesh" }}yes{{ end }}{{- end }}

{{- define "monitors.secret" -}}
{{- if .Values.secrets.external.enabled }}{{ include "monitors.fullname" . }}-secrets{{ else }}{{ .Values.secrets.existingSecret }}{{ end }}
{{- end }}

{{- define "monitors.rulesTarget" -}}
{{- if include "monitors.isMesh" . }}dns:///{{ include "monitors.fullname" . }}-rules.{{ .Release.Namespace }}.svc:50051
{{- else }}dns:///{{ include "monitors.fullname" . }}-embedded.{{ .Release.Namespace }}.svc:50051{{ end }}
{{- end }}

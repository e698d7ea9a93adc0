{{/* What every pod has in common: the restricted Pod Security Standard, no token, and where it's put. */}}
{{- define "monitors.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "monitors.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Replicas of a component are kept apart, those of one revision counted together. */}}
{{- define "monitors.spread" -}}
topologySpreadConstraints:
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "monitors.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}

{{- define "monitors.podMetadata" -}}
labels:
  {{- include "monitors.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .root.Values.secrets.revision .root.Values.podAnnotations }}
annotations:
  {{- with .root.Values.secrets.revision }}
  monitors/secrets-revision: {{ . | quote }}
  {{- end }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Startup and liveness ask only whether the process is alive: a database that is away mustn't restart anybody. */}}
{{- define "monitors.grpcProbes" -}}
startupProbe:
  grpc: {port: {{ .port }}, service: alive}
  periodSeconds: 2
  failureThreshold: 150
  timeoutSeconds: 5
livenessProbe:
  grpc: {port: {{ .port }}, service: alive}
  periodSeconds: 10
  failureThreshold: 3
  timeoutSeconds: 5
readinessProbe:
  grpc: {port: {{ .port }}, service: {{ .service }}}
  periodSeconds: 5
  failureThreshold: 2
  timeoutSeconds: 5
{{- end }}

{{/* The pod leaves its Services' addresses before it's told to end, and then ends what it has begun. */}}
{{- define "monitors.preStop" -}}
lifecycle:
  preStop:
    sleep: {seconds: 5}
{{- end }}

{{/* The Secret's keys as files, each named as the variable that it is: those that must be there, and those that may. */}}
{{- define "monitors.secretVolume" -}}
{{- $secret := default (include "monitors.secret" .root) .secret -}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- with .required }}
      - secret:
          name: {{ $secret }}
          items:
            {{- range . }}
            - {key: {{ . }}, path: {{ . }}}
            {{- end }}
      {{- end }}
      {{- range .optional }}
      - secret: {name: {{ $secret }}, optional: true, items: [{key: {{ . }}, path: {{ . }}}]}
      {{- end }}
{{- end }}

{{- define "monitors.secretsDir" -}}
- name: MONITORS_SECRETS_DIR
  value: /run/secrets/monitors
{{- end }}

{{- define "monitors.telemetryEnv" -}}
{{- if .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .Values.tracing.endpoint | quote }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ .Values.tracing.ratio | quote }}
{{- end }}
{{- end }}

{{- define "monitors.settings" -}}
{{- with include "monitors.telemetryEnv" . | trim }}
{{ . }}
{{- end }}
{{- if ne .Values.logs.format "text" }}
- name: MONITORS_LOG_FORMAT
  value: {{ .Values.logs.format }}
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ include "monitors.text" $value }}
{{- end }}
{{- end }}

{{/* YAML's numbers are floats here, and a large one would become 1e+06. */}}
{{- define "monitors.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ int64 . | quote }}{{ else }}{{ . | quote }}{{ end }}
{{- end }}

{{- define "monitors.influxEnv" -}}
{{- if .Values.influxdb.url }}
- name: INFLUXDB_URL
  value: {{ .Values.influxdb.url | quote }}
- name: INFLUXDB_ORG
  value: {{ .Values.influxdb.org | quote }}
- name: INFLUXDB_BUCKET
  value: {{ .Values.influxdb.bucket | quote }}
{{- end }}
{{- end }}

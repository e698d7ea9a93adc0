{{/* What each service of the mesh is told. */}}
{{- define "monitors.env.rules" -}}
- name: MONITORS_EVALUATOR_ADDRESS
  value: dns:///{{ include "monitors.fullname" . }}-evaluator.{{ .Release.Namespace }}.svc:50051
# A pod's folder ends with it. Keys are made with `monitors keys create --tenant`.
- name: MONITORS_MAKE_FIRST_KEYS
  value: "false"
{{- end }}

{{- define "monitors.env.evaluator" -}}
- name: MONITORS_RULES_ADDRESS
  value: {{ include "monitors.rulesTarget" . }}
- name: POD_IP
  valueFrom:
    fieldRef: {fieldPath: status.podIP}
- name: MONITORS_EVALUATOR_ADDRESS
  value: $(POD_IP):50051
- name: MONITORS_HTTP_PORT
  value: "8086"
- name: MONITORS_WINDOW_POINTS
  value: {{ .Values.evaluator.windowPoints | int64 | quote }}
{{ include "monitors.influxEnv" . | trim }}
{{- end }}

{{- define "monitors.env.notifier" -}}
- name: MONITORS_RULES_ADDRESS
  value: {{ include "monitors.rulesTarget" . }}
{{- with .Values.notifier.pageUrl }}
- name: MONITORS_CHANNEL_PAGE_URL
  value: {{ . | quote }}
- name: MONITORS_CHANNEL_PAGE_PORT
  value: "8090"
{{- end }}
{{- end }}

{{/* What is secret of each: what it can't do without, and what it takes if it's there. */}}
{{- define "monitors.secretsOf" -}}
{{- $needed := dict
  "rules" (list "DATABASE_URL" "MONITORS_SERVICE_TOKEN")
  "evaluator" (list "MONITORS_SERVICE_TOKEN")
  "notifier" (list "DATABASE_URL" "MONITORS_SERVICE_TOKEN" "MONITORS_MASTER_KEYS")
  "bridge" (ternary (list "MONITORS_MCP_STATE_KEY") list (ne (include "monitors.isMesh" .root) ""))
  "migrate" (list "DATABASE_URL")
  "embedded" list }}
{{- $taken := dict
  "rules" (list "REDIS_URL" "MONITORS_BRIDGE_SECRET" "MONITORS_KEY_PEPPER" "JWT_SECRET" "IDENTITY_DATABASE_URL" "IDENTITY_REDIS_URL")
  "evaluator" (list "REDIS_URL" "INFLUXDB_TOKEN" "INFLUXDB_USERNAME" "INFLUXDB_PASSWORD" "IDENTITY_DATABASE_URL")
  "notifier" (list "MONITORS_NOTIFIER_DATABASE_URL" "REDIS_URL" "SMTP_PASSWORD" "SENDGRID_API_KEY" "MONITORS_OPERATOR_WEBHOOK")
  "bridge" (ternary (list "MONITORS_BRIDGE_SECRET") list (hasKey .root.Values.bridge.settings "MONITORS_MCP_ISSUER"))
  "migrate" (list "MONITORS_NOTIFIER_DATABASE_URL")
  "embedded" (concat (list "REDIS_URL" "SMTP_PASSWORD" "SENDGRID_API_KEY" "MONITORS_OPERATOR_WEBHOOK" "MONITORS_BRIDGE_SECRET" "MONITORS_KEY_PEPPER" "MONITORS_MASTER_KEYS") (ternary (list "INFLUXDB_TOKEN" "INFLUXDB_USERNAME" "INFLUXDB_PASSWORD") list (ne .root.Values.influxdb.url ""))) }}
{{- $collector := ternary (list "OTEL_EXPORTER_OTLP_HEADERS") list (and (ne .root.Values.tracing.endpoint "") (ne .component "migrate")) }}
{{- include "monitors.secretVolume" (dict "root" .root "secret" .secret "required" (get $needed .component) "optional" (concat (get $taken .component) $collector)) }}
{{- end }}

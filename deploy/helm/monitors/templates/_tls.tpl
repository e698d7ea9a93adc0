{{/* Where each service of the mesh is reached, which is what its certificate is made out to. */}}
{{- define "monitors.tlsName" -}}
{{ include "monitors.fullname" .root }}-{{ .component }}.{{ .root.Release.Namespace }}.svc
{{- end }}

{{- define "monitors.tlsEnv" -}}
{{- if .Values.tls.enabled }}
- name: MONITORS_TLS_CERT_FILE
  value: /run/secrets/tls/tls.crt
- name: MONITORS_TLS_KEY_FILE
  value: /run/secrets/tls/tls.key
- name: MONITORS_TLS_CA_FILE
  value: /run/secrets/tls/ca.crt
{{- end }}
{{- end }}

{{/* What servers need besides: who is a service, and where the kubelet, which has no certificate, asks for health. */}}
{{- define "monitors.tlsServerEnv" -}}
{{- if .Values.tls.enabled }}
- name: MONITORS_TLS_SERVICES
  value: {{ range $at, $component := list "rules" "evaluator" "notifier" }}{{ if $at }},{{ end }}{{ include "monitors.tlsName" (dict "root" $ "component" $component) }}{{ end }}
- name: MONITORS_HEALTH_PORT
  value: "50061"
{{- end }}
{{- end }}

{{- define "monitors.tlsMount" -}}
{{- if .Values.tls.enabled }}
- {name: tls, mountPath: /run/secrets/tls, readOnly: true}
{{- end }}
{{- end }}

{{- define "monitors.tlsVolume" -}}
{{- if .root.Values.tls.enabled }}
- name: tls
  secret: {secretName: {{ include "monitors.fullname" .root }}-{{ .component }}-tls, defaultMode: 0440}
{{- end }}
{{- end }}

{{- define "monitors.healthPort" -}}{{ ternary 50061 50051 .Values.tls.enabled }}{{- end }}

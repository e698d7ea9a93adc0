{{/* Rules of NetworkPolicies. Each takes (dict "root" .), most of them a `component`. */}}
{{- define "monitors.from" -}}
- podSelector:
    matchLabels:
      {{- include "monitors.selector" . | nindent 6 }}
{{- end }}

{{- define "monitors.egress.dns" -}}
{{- $dns := .Values.networkPolicy.dns -}}
- to:
    {{- toYaml $dns.to | nindent 4 }}
  ports:
    - {protocol: UDP, port: {{ $dns.port }}}
    - {protocol: TCP, port: {{ $dns.port }}}
{{- end }}

{{- define "monitors.egress.to" -}}
- ports:
    - {protocol: TCP, port: {{ .port }}}
  {{- with .to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "monitors.egress.grpc" -}}
- to:
    {{- include "monitors.from" . | nindent 4 }}
  ports:
    - {protocol: TCP, port: 50051}
{{- end }}

{{- define "monitors.egress.health" -}}
- to:
    {{- include "monitors.from" . | nindent 4 }}
  ports:
    - {protocol: TCP, port: {{ include "monitors.healthPort" .root }}}
{{- end }}

{{/* The internet without what is private, which is the second wall behind the notifier's own guard. */}}
{{- define "monitors.egress.messages" -}}
- to:
    - ipBlock:
        cidr: 0.0.0.0/0
        except:
          {{- toYaml .Values.networkPolicy.private | nindent 10 }}
    - ipBlock:
        # All that is global in IPv6: private, link-local and multicast ranges aren't in it; translated ones are excepted.
        cidr: 2000::/3
        except: ["2002::/16", "2001::/32"]
  ports:
    {{- range .Values.networkPolicy.messagePorts }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end }}

{{- define "monitors.ingress.metrics" -}}
{{- if .Values.metrics.enabled }}
- from:
    {{- toYaml .Values.networkPolicy.prometheus | nindent 4 }}
  ports:
    - {protocol: TCP, port: 9464}
{{- end }}
{{- end }}

{{- define "monitors.ingress.writers" -}}
{{- with .Values.networkPolicy.writers }}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - {protocol: TCP, port: 8086}
{{- end }}
{{- end }}

{{- define "monitors.ingress.web" -}}
{{- with .root.Values.networkPolicy.web }}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - {protocol: TCP, port: {{ $.port }}}
{{- end }}
{{- end }}

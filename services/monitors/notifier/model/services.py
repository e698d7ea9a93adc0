"""The services that are reached by Apprise, and what may stand in their URLs.

Only what is listed here is reached: not what a channel of ours reaches better, nor what leads into a network (syslog,
AMQP, IRC, media players), to other notifiers, or to any URL whatever.
"""

import re
from collections.abc import Iterator
from types import MappingProxyType
from urllib.parse import unquote_plus

# A service's name, and the schemes of its URLs.
_TABLE = """
46elks: 46elks elks
800.com: eight00com
Africas Talking: atalk
AWS End User Messaging Social (WhatsApp): awswhatsapp
AWS Simple Email Service (SES): ses
AWS Simple Notification Service (SNS): sns
Azure Communication Services: acs
Bale: bale
Bark: bark barks
Better Stack: betterstack
BlueSky: bsky bluesky
Brevo: brevo
BulkSMS: bulksms
BulkVS: bulkvs
Chanify: chanify
Cisco Webex Teams: wxteams webex
Clickatell: clickatell
ClickSend: clicksend
CM.com: cm
D7 Networks: d7sms
DingTalk: dingtalk
Dot.: dot
Evolution API: evolution evolutions
Exotel: exotel
Feishu: feishu
FireHydrant: firehydrant
Flock: flock
Flowtriq: flowtriq flowtriqs
Fluxer: fluxer fluxers
Free-Mobile: freemobile
GitHub: github
GoAlert: goalert goalerts
Google Chat: gchat
Gorush: gorush gorushs
Gotify: gotify gotifys
Groundmail: groundmail
GroupMe: groupme
Guilded: guilded
Gupshup: gupshup
httpSMS: httpsms
HumHub: humhub humhubs
IFTTT: ifttt
ilert: ilert
incident.io: incidentio
Infobip: infobip
Jira: jira
Join: join
KakaoTalk: kakaotalk kakao
Kaleyra: kaleyra klr
Kavenegar: kavenegar
Kook: kook
Kudosity: burstsms kudosity
Kumulos: kumulos
Lark (Feishu): lark
Lauther: lauther
LFG Alarm: lfg
Line: line
MailerSend: mailersend
Mailgun: mailgun
Mastodon: mastodon toot mastodons toots
Matrix: matrix matrixs
Mattermost: mmost mmosts
MessageBird: msgbird
Misskey: misskey misskeys
Mobile Message: mobilemessage mobilemsg
MSG91: msg91
Nextcloud: ncloud nclouds
Nextcloud Talk: nctalk nctalks
Notica: notica noticas
Notifiarr: notifiarr
Notifico: notifico notificos
Notify!: notifyapp
Notifyre: notifyre
ntfy: ntfy ntfys
Octopush: octopush
Office 365: azure o365
OneBot: onebot onebots
OneSignal: onesignal
Opsgenie: opsgenie
OpsiMate: opsimate opsimates
PagerTree: pagertree
Pinglet: pinglet pinglets
Pingram: pingram
Plivo: plivo
Postmark: postmark
Prowl: prowl
Pushbullet: pbul
PushDeer: pushdeer pushdeers
Pushed: pushed
Pushjet: pjet pjets
PushMe: pushme
Pushover: pover
Pushplus: pushplus wecom
Pushsafer: psafer psafers
PushWard: pushward
Pushy: pushy
QQ Push: qq
Reddit: reddit
Resend: resend
Revolt: revolt
RingCentral: ringc
Rocket.Chat: rocket rockets
Ryver: ryver
SendPulse: sendpulse
ServerChan: schan
SerwerSMS: serwersms
seven: seven
Signal API: signal signals
Signalgrid: signalgrid
SIGNL4: signl4
Simplepush: spush simplepush
Sinch: sinch
SMS Manager: smsmgr smsmanager
SMSC: smsc
SMSTunnel: smstunnel
SMTP2Go: smtp2go
Société Française du Radiotéléphone: sfr
SparkPost: sparkpost
Spike.sh: spike
Splunk On-Call: splunk victorops
SpugPush: spugpush
Squadcast: squadcast
Stackfield: stackfield
Streamlabs: strmlabs
Techulus Push: push
Telegram: tgram
Telesign: telesign
Telnyx: telnyx
Threema Gateway: threema
Trigv: trigv trigvs
Twilio: twilio
Twist: twist
Twitter: x twitter tweet
Viber: viber
VoIPms: voipms
Vonage: vonage nexmo
WeChat (WeCom): wechat
WeCom Bot: wecombot
Whapi.Cloud: whapi
WhatsApp: whatsapp
WPUSH: wpush
WxPusher: wxpusher
xMatters: xmatters
YouLMK: youlmk
Zalo: zalo
Zoho Cliq: cliq zcliq zohocliq
Zoom: zoom
Zulip: zulip
"""

NATIVE = MappingProxyType(
    {
        **dict.fromkeys(("slack",), "slack"),
        **dict.fromkeys(("discord",), "discord"),
        **dict.fromkeys(("msteams", "workflow", "workflows"), "teams"),
        **dict.fromkeys(("pagerduty",), "pager_duty"),
        **dict.fromkeys(("mailto", "mailtos", "sendgrid"), "email"),
        **dict.fromkeys(("json", "jsons", "xml", "xmls", "form", "forms"), "webhook"),
    }
)
"""The kinds of channels that do better what Apprise does by these schemes."""
FORBIDDEN = frozenset(
    {
        "redirect", "verify", "rto", "cto", "retry", "wait", "format", "overflow", "store", "storage", "optional",
        "attach", "attach-as", "attach_as", "template", "keyfile", "pgpkey", "pgp", "pem", "subfile",
    }
)  # fmt: skip
"""Parameters that undo what keeps a message from going elsewhere, from being read elsewhere, or from reading files."""
_SCHEME = re.compile(r"([A-Za-z0-9]{1,32})://")


def _read() -> Iterator[tuple[str, str]]:
    for line in _TABLE.strip().splitlines():
        name, _, schemes = line.rpartition(": ")
        for scheme in schemes.split():
            yield scheme, name


SERVICES = MappingProxyType(dict(_read()))
"""The names of services by the schemes of their URLs."""


def scheme_of(url: str) -> str:
    """The scheme of an Apprise URL; empty if it has none."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def is_plain(scheme: str) -> bool:
    """Whether it's the one of two schemes of a service that goes without TLS."""
    return SERVICES.get(f"{scheme}s", "") == SERVICES.get(scheme)


def forbidden_parameters(url: str) -> list[str]:
    """The parameters that may not be there."""
    pairs = re.split(r"[&;]", url.partition("?")[2])
    names = (unquote_plus(pair.partition("=")[0]).strip().lower().lstrip("+-:") for pair in pairs)
    return sorted({name for name in names if name in FORBIDDEN})

"""TLS between the services: certificates out of files that may change at any time, for servers and for channels."""

from monitors.mesh.tls.certificates import Certificates, CertificatesUnusable
from monitors.mesh.tls.channel import RotatingChannel
from monitors.mesh.tls.https import https_context

__all__ = ["Certificates", "CertificatesUnusable", "RotatingChannel", "https_context"]

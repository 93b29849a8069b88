"""The version of this software, as its corpora and manifests state it."""

VERSION = "0.1.0"

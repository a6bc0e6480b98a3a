"""Where bytes live."""

from tidegate.platforms.base import BasePlatform, FileInfo, platform_registry

__all__ = ["BasePlatform", "FileInfo", "platform_registry"]

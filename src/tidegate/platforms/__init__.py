"""Where bytes live."""

from tidegate.platforms.base import BasePlatform, FileInfo, platform_registry
from tidegate.platforms.choice import platform_of

__all__ = ["BasePlatform", "FileInfo", "platform_of", "platform_registry"]

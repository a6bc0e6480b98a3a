"""Keeps registered secrets out of log records."""

from __future__ import annotations

import logging

from tidegate.masking import get_registered_secret_values, mask, mask_within


class SecretFilter(logging.Filter):
    """Masks registered secrets in a record: message, arguments, exception, stack, and `extra` fields.

    It lets every record pass, and changes it in place, so that every later handler sees it masked.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask `record`."""
        if get_registered_secret_values():
            vars(record).update(mask_within(vars(record)))
            _mask_message(record)
            _mask_exception(record)
        return True


class _Shield(logging.Handler):
    """Writes nothing: it is there for its filter, as a logger's own does not see its children's records."""

    def emit(self, record: logging.LogRecord) -> None:
        """Do nothing."""


def install_secret_filter(logger_name: str = "tidegate") -> None:
    """Mask every record of this logger and its children before any handler here or above sees it.

    Calling it again does nothing. A handler that also receives records of other libraries needs a
    :class:`SecretFilter` of its own.
    """
    logger = logging.getLogger(logger_name)
    if not any(isinstance(handler, _Shield) for handler in logger.handlers):
        shield = _Shield()
        shield.addFilter(SecretFilter())
        logger.handlers.insert(0, shield)


def _mask_message(record: logging.LogRecord) -> None:
    """Render the message, as an argument that is no text may show a secret once it is one."""
    try:
        message = record.getMessage()
    except Exception:  # noqa: BLE001 - a bad format is reported by the handler, and never stops the caller
        return
    masked = mask(message)
    if masked != message:
        record.msg, record.args = masked, ()


def _mask_exception(record: logging.LogRecord) -> None:
    """Render an exception that shows a secret, and drop the object, which a handler could render again."""
    if record.exc_info:
        text = logging.Formatter().formatException(record.exc_info)
        masked = mask(text)
        if masked != text:
            record.exc_text, record.exc_info = masked, None

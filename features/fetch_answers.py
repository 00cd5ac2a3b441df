"""One request to a server: what it answers, and which failures another attempt may better."""

import contextlib
import http.client
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

from features.errors import InputError

SCHEMES = ("http", "https", "file")
TIMEOUT = 30.0  # seconds without a byte
_LONGEST_WAIT = 60.0  # that a server may ask for
_CHUNK = 1 << 20
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_NO_SUCH_PART = 416


class Cut(Exception):
    """The connection ended too early or could not be made: another attempt may go on.

    Attributes
    ----------
    wait : seconds that the server asks for
    anew : what has come cannot be continued
    """

    def __init__(self, reason: object, wait: float = 0.0, anew: bool = False) -> None:
        super().__init__(str(reason) or type(reason).__name__)
        self.wait, self.anew = wait, anew


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only: a server cannot point at files of this machine."""

    def http_error_302(self, req, fp, code, msg, headers):
        """Follow a redirect; what is not followed leaves no connection open."""
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except (InputError, ValueError):
            fp.close()
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        """Return the request for the new address, with the headers of the first."""
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise InputError(f"{req.full_url} leads to {newurl}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.FileHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPErrorProcessor,
    _Redirects,
)


@contextlib.contextmanager
def answer_of(url: str, offset: int = 0, mark: str = "") -> Iterator:
    """Ask for a file from byte `offset` on, and lend the answer.

    Parameters
    ----------
    mark : of the version that is to be continued; with another one the whole file is asked for

    Raises
    ------
    Cut
        Also for what happens while the answer is read.
    InputError
        When another attempt would end no better.
    """
    headers = {"User-Agent": "meanopinion", "Accept-Encoding": "identity"}
    if offset:
        headers |= {"Range": f"bytes={offset}-"} | ({"If-Range": mark} if mark else {})
    opener = urllib.request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        with error:
            raise _failure(url, error) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError | FileNotFoundError | str):
            raise InputError(f"{url} cannot be fetched ({error.reason})") from error
        raise Cut(error.reason) from error
    except InputError:
        raise
    except (http.client.InvalidURL, ValueError) as error:
        raise InputError(f"{url} is no address, or leads to none ({error})") from error
    except (http.client.HTTPException, OSError) as error:
        raise Cut(error) from error


def _failure(url: str, error: urllib.error.HTTPError) -> Exception:
    if error.code == _NO_SUCH_PART:
        return Cut("the file is shorter there than what has come", anew=True)
    if error.code not in _PASSING:
        reason = next(iter(str(error.reason).splitlines()), "")
        return InputError(f"{url} answered {error.code} {reason}")
    wait = float(whole(error.headers.get("Retry-After", "")) or 0)
    return Cut(f"the answer was {error.code} {error.reason}", min(wait, _LONGEST_WAIT))


def chunks_of(answer) -> Iterator[bytes]:
    """Yield bytes as they come; read1 does not wait for a full chunk, so that a cut loses none."""
    read = getattr(answer, "read1", answer.read)
    while chunk := read(_CHUNK):
        yield chunk


def whole(text: str) -> int | None:
    """Return a header's whole number, None when it is none."""
    return int(text) if text.isdecimal() else None

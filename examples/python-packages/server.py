"""Signs texts and checks the signatures: GET /sign?text=… and GET /open?token=…"""

import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from itsdangerous import BadSignature, URLSafeSerializer

serializer = URLSafeSerializer(os.environ["SIGNING_KEY"])


def answer(url):
    """The status and the text for a request."""
    path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
    if path == "/sign" and "text" in query:
        return 200, serializer.dumps(query["text"][0])
    if path == "/open" and "token" in query:
        try:
            return 200, serializer.loads(query["token"][0])
        except BadSignature:
            return 400, "this token was not signed here"
    return 404, "try /sign?text=hello"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, text = answer(self.path)
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()

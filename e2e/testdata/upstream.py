"""An upstream of WSGI: it answers with the resources that it could route a request to, in hex, by
line: PATH_INFO, and the same with its dot segments resolved."""
import posixpath
from wsgiref.simple_server import WSGIRequestHandler, make_server


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def app(environ, start_response):
    path = environ["PATH_INFO"].encode("latin-1")
    readings = {path, posixpath.normpath(path)}
    body = b"\n".join(r.hex().encode() for r in sorted(readings))
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
    print(f"127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()

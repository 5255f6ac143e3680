"""A small outside world in a network namespace: a cable into another namespace, names, pages, TLS. A test starts it.

The cable is two TAP devices, so that it can be slow and lose connections on every kernel.
"""
import ctypes, fcntl, json, os, socket, ssl, struct, subprocess, sys, threading

inner, settings = sys.argv[1], json.loads(sys.argv[2])
ROUTER, COMPUTER = "10.9.0.1", "10.9.0.2"
MACS = {ROUTER: "02:00:00:00:09:01", COMPUTER: "02:00:00:00:09:02"}


def tap(name, address, other):
    fd = os.open("/dev/net/tun", os.O_RDWR)
    # IFF_TAP | IFF_NO_PI
    fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000))
    # Both sides know each other: no question for an address is delayed or lost.
    for words in [
        f"link set {name} address {MACS[address]}",
        f"addr add {address}/24 dev {name}",
        f"link set {name} up",
        f"neigh replace {other} lladdr {MACS[other]} dev {name} nud permanent",
    ]:
        subprocess.run(["ip", *words.split()], check=True)
    return fd


connections, guard = {}, threading.Lock()


def number(frame, outward):
    """Which connection a frame belongs to, counted from 1; 0 for what is none of TCP."""
    if frame[12:14] != b"\x08\x00" or frame[23] != 6:
        return 0
    start = 14 + (frame[14] & 15) * 4
    ports = frame[start:start + 4]
    key = ports if outward else ports[2:] + ports[:2]
    with guard:
        return connections.setdefault(key, len(connections) + 1)


def carry(source, target, outward):
    while True:
        frame = os.read(source, 65536)
        which = number(frame, outward)
        if which and settings["lose"] and which % settings["lose"] == 0:
            continue
        late = settings["delay"] + (settings["jitter"] if which % 2 else 0)
        if late:
            threading.Timer(late / 1000, os.write, (target, frame)).start()
        else:
            os.write(target, frame)


def run(work, *arguments):
    threading.Thread(target=work, args=arguments, daemon=True).start()


def names(port):
    door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    door.bind((ROUTER, port))

    def serve():
        while True:
            question, who = door.recvfrom(4096)
            end = question.index(b"\0", 12) + 5
            a = question[end - 4:end - 2] == b"\0\1"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(ROUTER) if a else b""
            head = question[:2] + b"\x81\x80\0\1" + struct.pack(">HHH", int(a), 0, 0)
            door.sendto(head + question[12:end] + answer, who)

    run(serve)


def pages(port, secure):
    door = socket.create_server((ROUTER, port), backlog=64)
    context = None
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings["certificate"], settings["key"])

    def answer(stream):
        try:
            if secure and settings["breaks"]:
                # Whoever stands in between hangs up as soon as it sees what is meant.
                stream.recv(4096)
                return
            if context:
                stream = context.wrap_socket(stream, server_side=True)
            if not stream.recv(4096):
                return
            page = "<HTML><BODY>Success</BODY></HTML>"
            head = "200 OK"
            if settings["captive"] and not secure:
                page, head = "Welcome to the Harbour Hotel", settings["captive"]
            stream.sendall(f"HTTP/1.1 {head}\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n{page}".encode())
        except OSError:
            pass
        finally:
            stream.close()

    def serve():
        while True:
            run(answer, door.accept()[0])

    run(serve)


outside = tap("outside", ROUTER, COMPUTER)
if settings["names"]:
    names(53)
    names(5300)
pages(80, False)
pages(443, True)
pages(5223, True)
with open(f"/proc/{inner}/ns/net") as namespace:
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0x40000000) != 0:
        raise OSError(ctypes.get_errno(), "cannot enter the namespace")
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
inside = tap("inside", COMPUTER, ROUTER)
subprocess.run(["ip", "route", "add", "default", "via", ROUTER], check=True)
run(carry, inside, outside, True)
run(carry, outside, inside, False)
print("ready", flush=True)
threading.Event().wait()

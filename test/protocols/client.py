"""A producer written from docs/protocol.md, in Python's standard library alone: the subprotocol headrace.v1.json over a raw
socket. Sends a first part, breaks its connection with the second part's ack unread, goes on as the same instance, and prints
what it was told as one line of JSON.

    python3 client.py <host> <port> <stream>
"""
import base64, hashlib, json, os, socket, struct, sys


class Connection:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((
            "GET /v1/connect HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: headrace.v1.json\r\n\r\n"
            % (host, port, key)).encode())
        self.input = self.socket.makefile("rb")
        status = self.input.readline().decode()
        headers = {}
        while (line := self.input.readline().decode().strip()):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        assert " 101 " in status, status
        assert headers["sec-websocket-accept"] == base64.b64encode(accept).decode()
        assert headers["sec-websocket-protocol"] == "headrace.v1.json", headers

    def write(self, opcode, payload):
        size = len(payload)
        head = bytes([0x80 | opcode])
        if size < 126: head += bytes([0x80 | size])
        elif size < 65536: head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else: head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        mask = os.urandom(4)
        self.socket.sendall(head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)))

    def send(self, **frame):
        self.write(1, json.dumps(frame, ensure_ascii=False).encode())

    def receive(self):
        text = b""
        while True:
            first, second = self.input.read(2)
            size = second & 127
            if size == 126: (size,) = struct.unpack(">H", self.input.read(2))
            elif size == 127: (size,) = struct.unpack(">Q", self.input.read(8))
            payload = self.input.read(size)
            opcode = first & 15
            if opcode == 9: self.write(10, payload)
            elif opcode == 8: raise EOFError(payload[2:].decode())
            elif opcode in (0, 1):
                text += payload
                if first & 0x80: return json.loads(text)

    def expect(self, kind):
        """Frames that are not known are ignored, as are those that were not asked for."""
        while True:
            frame = self.receive()
            if frame["type"] == "error": raise RuntimeError(frame["code"] + ": " + frame["message"])
            if frame["type"] == kind: return frame


class Producer:
    def __init__(self, host, port, stream):
        self.address, self.stream = (host, port), stream
        self.instance, self.epoch = os.urandom(16).hex(), None
        self.acked, self.next, self.unacked, self.verdicts = None, None, [], []

    def connect(self):
        self.connection = Connection(*self.address)
        hello = {"client": "a page read by python", "producerId": "python", "instance": self.instance}
        if self.epoch is not None: hello["producerEpoch"] = self.epoch
        self.connection.send(type="hello", **hello)
        self.epoch = self.connection.expect("welcome")["producerEpoch"]
        about = {"stream": self.stream, "partition": 0, "producerEpoch": self.epoch}
        self.connection.send(type="open", **about)
        stored = self.connection.expect("opened")["lastSequence"]
        if self.next is None: self.next = 0 if stored is None else stored[1] + 1
        # Of the oldest batch: the later of what was acknowledged and what is stored; null sorts below everything.
        self.previous = max((one for one in (stored, self.acked) if one is not None), default=None)
        for first, events in self.unacked: self.append(first, events)
        return stored

    def append(self, first, events):
        last = [0, first + len(events) - 1, 0]
        self.connection.send(
            type="append", stream=self.stream, partition=0, producerEpoch=self.epoch, previousSequence=self.previous,
            sequences={"first": [0, first, 0], "count": len(events)}, events=events)
        self.previous = last if self.previous is None or last > self.previous else self.previous

    def send(self, events):
        self.unacked.append((self.next, events))
        self.append(self.next, events)
        self.next += len(events)

    def settle(self):
        while self.unacked:
            ack = self.connection.expect("ack")
            self.acked = ack["lastSequence"]
            self.verdicts += ack.get("verdicts", [])
            self.unacked = [(first, events) for first, events in self.unacked
                            if [0, first + len(events) - 1, 0] > self.acked]

    def cut(self):
        """The appends were taken (the node answers a second `open` after them), their acks are never read."""
        about = {"stream": self.stream, "partition": 0, "producerEpoch": self.epoch}
        self.connection.send(type="open", **about)
        self.connection.expect("opened")
        self.connection.socket.close()
        self.connection.input.close()


producer = Producer(sys.argv[1], int(sys.argv[2]), sys.argv[3])
opened = [producer.connect()]
producer.send([{"n": n, "text": "\u00e4\U0001f30a"} for n in range(100)])
producer.settle()
producer.send([{"n": n} for n in range(100, 150)])
producer.send([{"n": n if n != 170 else "not a number"} for n in range(150, 200)])
producer.cut()
opened.append(producer.connect())
producer.send([{"n": n} for n in range(200, 250)])
producer.settle()
producer.connection.send(type="goodbye")
try:
    while True: producer.connection.receive()
except EOFError as end:
    print(json.dumps({"opened": opened, "acked": producer.acked, "verdicts": producer.verdicts}))

"""What a service manager does for hutchd: holds its socket, starts it, and hears what it notifies.

    service_manager.py SOCKET PROGRAM [ARGUMENT...]

Each line "start" of the input runs the program to its end, with the socket as descriptor 3; "term" asks it to end.
Prints what is notified, "bound" at first, and "ended CODE". The program ends with the input.
"""
import os
import socket
import subprocess
import sys
import threading

path, program = sys.argv[1], sys.argv[2:]
listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listening.bind(path)
listening.listen(16)
assert listening.fileno() == 3  # the first that is opened here
notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notices.bind(path + ".notify")
os.environ.update(NOTIFY_SOCKET=path + ".notify", LISTEN_FDS="1")


def say(text):
    print(text, flush=True)


def hear():
    while True:
        say(notices.recv(4096).decode())


def wait(daemon):
    say(f"ended {daemon.wait()}")


running = None
say("bound")
threading.Thread(target=hear, daemon=True).start()
for line in sys.stdin:
    if line == "start\n":
        command = ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *program]
        running = subprocess.Popen(command, pass_fds=[3])
        threading.Thread(target=wait, args=[running], daemon=True).start()
    else:
        running.terminate()
if running:  # a test that failed may have left it
    running.terminate()
    running.wait()

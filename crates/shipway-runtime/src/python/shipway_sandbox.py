"""Confines this process before any code of a model is imported: from then on it is treated as hostile.

Nothing here is left to the model's own packages: only the standard library is imported, and the server starts the interpreter
without `site`, so that not even a `.pth` file has run. What is taken away stays away: no part of it can be undone from inside.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys

# The largest file that may be written, and how many may be open.
MOST_FILE_BYTES = 1 << 30
MOST_FILES = 4096

SET_PARENT_DEATH_SIGNAL, SET_SECCOMP, DROP_BOUNDING, SET_NO_NEW_PRIVILEGES, AMBIENT = 1, 22, 24, 38, 47

# Landlock of Linux 6.2: the first that also keeps files from being cut (`truncate`).
LEAST_LANDLOCK = 3
READ = (1 << 2) | (1 << 3)
FILE_RIGHTS = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 14)
EVERYTHING = [(1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15)]

# What an interpreter and its libraries read beside their own folders.
SYSTEM = ["/usr", "/lib", "/lib64", "/bin"]
SYSTEM_FILES = [
    "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/os-release",
    "/etc/mime.types", "/etc/alternatives", "/etc/ssl/certs", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
    "/proc/filesystems", "/proc/sys/vm/overcommit_memory", "/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom", "/dev/random", "/dev/zero",
]

# Numbers on x86-64 and on 64-bit ARM; None where there is no such call.
REFUSED = {
    # Other processes and other programs: this one stays alone, so that to kill it is to end it.
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "setsid": (112, 157), "setpgid": (109, 154),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440), "kcmp": (312, 272),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "setpriority": (141, 140), "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119), "sched_setparam": (142, 118), "sched_setattr": (314, 274),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    # The network, of any family. Pairs of sockets inside of the process remain.
    "socket": (41, 198), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    # What Landlock does not see: owners, rights and times of files, and what is watched.
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "inotify_add_watch": (254, 27), "fanotify_init": (300, 262),
    # The kernel's own doors.
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218), "open_by_handle_at": (304, 265),
}  # fmt: skip
CLONE, CLONE3, KILL, TGKILL = (56, 220), (435, 435), (62, 129), (234, 131)
PRLIMIT, AFFINITY, PRCTL = (302, 261), (203, 122), (157, 167)
# Calls behind this one are newer than this list, and are said not to be there. The numbers of x32 lie behind it, too.
LAST_KNOWN = 462
ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
CLONE_THREAD = 0x10000
NOT_PERMITTED, NO_SUCH_CALL = 1, 38


class Unconfined(Exception):
    """A part of the sandbox is not to be had here."""


def limits(memory_bytes: int) -> None:
    """Bounds what the process takes: memory that it writes to, files, and no core."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, most in (
        (resource.RLIMIT_DATA, memory_bytes),
        (resource.RLIMIT_FSIZE, MOST_FILE_BYTES),
        (resource.RLIMIT_NOFILE, MOST_FILES),
    ):
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))


def confine(readable: list[str], writable: str, private: str, server: int) -> None:
    """Takes everything away but reading `readable`, reading and writing `writable`, and computing.

    `private` is the server's own folder, no part of which may lie inside what can be read, but for what `readable` names in it.
    """
    if sys.platform != "linux" or platform.machine() not in ARCHITECTURES or sys.maxsize < 1 << 32:
        raise Unconfined(f"there is no sandbox for {sys.platform} on {platform.machine()}")
    kernel = Kernel()
    kernel.prctl("die with the server", SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(1)
    kernel.prctl("give up new privileges", SET_NO_NEW_PRIVILEGES, 1)
    kernel.drop_capabilities()
    kernel.restrict_files(readable, writable, private)
    kernel.restrict_calls()


class Kernel:
    """System calls that the standard library does not have."""

    def __init__(self) -> None:
        self.c = ctypes.CDLL(None, use_errno=True)
        self.c.syscall.restype = ctypes.c_long

    def call(self, what: str, number: int, *arguments: object) -> int:
        answer = self.c.syscall(ctypes.c_long(number), *arguments)
        if answer < 0:
            raise Unconfined(f"the kernel does not let it {what}: {os.strerror(ctypes.get_errno())}")
        return answer

    def prctl(self, what: str, option: int, *arguments: int) -> None:
        rest = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
        if self.c.prctl(ctypes.c_int(option), *rest) < 0:
            raise Unconfined(f"the kernel does not let it {what}: {os.strerror(ctypes.get_errno())}")

    def drop_capabilities(self) -> None:
        """Root is nobody special any more."""
        for capability in range(64):
            # Whoever may not drop one does not have it.
            self.c.prctl(DROP_BOUNDING, ctypes.c_ulong(capability), 0, 0, 0)
        self.c.prctl(AMBIENT, ctypes.c_ulong(4), 0, 0, 0)
        number = {"x86_64": 126, "aarch64": 91}[platform.machine()]
        header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
        self.call("drop its capabilities", number, header, ctypes.create_string_buffer(bytes(24)))

    def restrict_files(self, readable: list[str], writable: str, private: str) -> None:
        """Landlock: files outside of the lists cannot be opened, made, changed or removed."""
        version = self.c.syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint(1))
        if version < LEAST_LANDLOCK:
            raise Unconfined("Landlock of Linux 6.2 or newer is needed, and is not there or not turned on")
        files = sum(rights for since, rights in EVERYTHING if version >= since)
        network = 3 if version >= 4 else 0
        scope = 3 if version >= 6 else 0
        attributes = struct.pack("=QQQ", files, network, scope)[: 24 if version >= 6 else 16 if version >= 4 else 8]
        rules = self.call(
            "use Landlock", 444, ctypes.create_string_buffer(attributes, len(attributes)), ctypes.c_size_t(len(attributes)), ctypes.c_uint(0)
        )
        private = os.path.realpath(private)
        for path in (*SYSTEM, *SYSTEM_FILES, *readable):
            if os.path.commonpath([os.path.realpath(path), private]) == os.path.realpath(path):
                raise Unconfined(f"the server's folder {private} lies inside of {path}, which the model must be able to read")
            self.allow(rules, path, READ)
        self.allow(rules, "/dev/null", READ | (1 << 1))
        self.allow(rules, writable, files & ~(1 << 0))
        self.call("restrict itself", 446, ctypes.c_int(rules), ctypes.c_uint(0))
        os.close(rules)

    def allow(self, rules: int, path: str, rights: int) -> None:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        if not os.path.isdir(path):
            rights &= FILE_RIGHTS
        rule = struct.pack("=Qi", rights, place)
        self.call(f"allow {path}", 445, ctypes.c_int(rules), ctypes.c_int(1), ctypes.create_string_buffer(rule, len(rule)), ctypes.c_uint(0))
        os.close(place)

    def restrict_calls(self) -> None:
        """Seccomp: the refused calls answer that they are not permitted."""
        program = b"".join(struct.pack("=HBBI", *step) for step in steps())
        held = ctypes.create_string_buffer(program, len(program))

        class Filter(ctypes.Structure):
            _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))

        filter_ = Filter(len(program) // 8, ctypes.cast(held, ctypes.c_void_p))
        mode = ctypes.c_ulong(2)
        if self.c.prctl(SET_SECCOMP, mode, ctypes.byref(filter_), ctypes.c_ulong(0), ctypes.c_ulong(0)) < 0:
            raise Unconfined(f"the kernel does not let it filter calls: {os.strerror(ctypes.get_errno())}")


def steps() -> list[tuple[int, int, int, int]]:
    """The program of the filter: code, jump if so, jump if not, number."""
    place, architecture = ARCHITECTURES[platform.machine()]
    load, equal, greater, has, answer = 0x20, 0x15, 0x25, 0x45, 0x06
    allowed, killed = 0x7FFF0000, 0x80000000
    refused, unknown = 0x00050000 | NOT_PERMITTED, 0x00050000 | NO_SUCH_CALL
    number, first_argument = 0, 16
    program = [
        (load, 0, 0, 4), (equal, 1, 0, architecture), (answer, 0, 0, killed),
        (load, 0, 0, number), (greater, 0, 1, LAST_KNOWN), (answer, 0, 0, unknown),
        (equal, 0, 1, CLONE3[place]), (answer, 0, 0, unknown),
    ]  # fmt: skip
    for numbers in REFUSED.values():
        if numbers[place] is not None:
            program += [(equal, 0, 1, numbers[place]), (answer, 0, 0, refused)]
    # A thread is no other process. Libraries ask for one by clone when clone3 is said not to be there.
    program += [(equal, 0, 4, CLONE[place]), (load, 0, 0, first_argument), (has, 1, 0, CLONE_THREAD), (answer, 0, 0, refused), (answer, 0, 0, allowed)]
    own = os.getpid()
    for numbers, fine in ((KILL, (own,)), (TGKILL, (own,)), (PRLIMIT, (0, own)), (AFFINITY, (0,))):
        tests = [(equal, len(fine) - index, 0, value) for index, value in enumerate(fine)]
        program += [(equal, 0, len(tests) + 3, numbers[place]), (load, 0, 0, first_argument), *tests, (answer, 0, 0, refused), (answer, 0, 0, allowed)]
    # The signal that ends it with the server stays.
    program += [
        (equal, 0, 4, PRCTL[place]), (load, 0, 0, first_argument), (equal, 0, 1, SET_PARENT_DEATH_SIGNAL), (answer, 0, 0, refused),
        (answer, 0, 0, allowed), (answer, 0, 0, allowed),
    ]  # fmt: skip
    return program

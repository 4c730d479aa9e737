"""Which system calls a sandboxed child may make: a seccomp filter that allows what Python and PyTorch need, no more.

Everything that is not on the list answers "not implemented", as an old kernel would, which libraries know how to live
with. So a child has no key, socket, shared memory, message queue, memfd, inotify, io_uring, userfaultfd or ptrace to
leave something in for the next one. File locks, which two children could see through the files that both read, seem
to succeed and do nothing. Left open, because nobody can do without them: time, and what can be learnt from it.

The filter is classic BPF as Linux documents it (Documentation/userspace-api/seccomp_filter.rst), handed to
bubblewrap, which sets it last.
"""

from __future__ import annotations

import errno
import functools
import platform
import struct
from collections.abc import Iterable, Iterator

# name:number on x86-64:number on arm64, in the order of how often Python asks; "-" where there is no such call.
_CALLS = """
# files
read:0:63 write:1:64 open:2:- openat:257:56 close:3:57 stat:4:- fstat:5:80 lstat:6:- newfstatat:262:79 statx:332:291
lseek:8:62 pread64:17:67 pwrite64:18:68 readv:19:65 writev:20:66 preadv:295:69 pwritev:296:70 access:21:-
faccessat:269:48 faccessat2:439:439 pipe:22:- pipe2:293:59 dup:32:23 dup2:33:- dup3:292:24 getdents:78:-
getdents64:217:61 getcwd:79:17 chdir:80:49 fchdir:81:50 rename:82:- renameat:264:38 renameat2:316:276 mkdir:83:-
mkdirat:258:34 rmdir:84:- unlink:87:- unlinkat:263:35 link:86:- linkat:265:37 symlink:88:- symlinkat:266:36
readlink:89:- readlinkat:267:78 chmod:90:- fchmod:91:52 fchmodat:268:53 utime:132:- utimes:235:- utimensat:280:88
futimesat:261:- truncate:76:45 ftruncate:77:46 fallocate:285:47 fsync:74:82 fdatasync:75:83 umask:95:166
sendfile:40:71 copy_file_range:326:285 statfs:137:43 fstatfs:138:44 poll:7:- ppoll:271:73 select:23:-
pselect6:270:72 epoll_create:213:- epoll_create1:291:20 epoll_ctl:233:21 epoll_wait:232:- epoll_pwait:281:22
eventfd:284:- eventfd2:290:19 close_range:436:436
# memory
mmap:9:222 mprotect:10:226 munmap:11:215 mremap:25:216 brk:12:214 msync:26:227 membarrier:324:283
# processes and threads
fork:57:- vfork:58:- execve:59:221 wait4:61:260 waitid:247:95 exit:60:93 exit_group:231:94 kill:62:129 tkill:200:130
tgkill:234:131 getpid:39:172 getppid:110:173 gettid:186:178 getpgid:121:155 getpgrp:111:- getsid:124:156
setsid:112:157 setpgid:109:154 getuid:102:174 geteuid:107:175 getgid:104:176 getegid:108:177 getgroups:115:158
getresuid:118:148 getresgid:120:150 capget:125:90 arch_prctl:158:- set_tid_address:218:96 set_robust_list:273:99
get_robust_list:274:100 rseq:334:293 futex:202:98 sched_yield:24:124 sched_getaffinity:204:123
sched_setaffinity:203:122 sched_getparam:143:121 sched_getscheduler:145:120 sched_get_priority_max:146:125
sched_get_priority_min:147:126 getpriority:140:141 setpriority:141:140 getrlimit:97:163 setrlimit:160:164
prlimit64:302:261 getrusage:98:165 times:100:153 uname:63:160 getcpu:309:168 getrandom:318:278
# signals and time
rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigpending:127:136 rt_sigtimedwait:128:137
rt_sigsuspend:130:133 rt_sigqueueinfo:129:138 sigaltstack:131:132 pause:34:- alarm:37:- setitimer:38:103
getitimer:36:102 timer_create:222:107 timer_settime:223:110 timer_gettime:224:108 timer_getoverrun:225:109
timer_delete:226:111 nanosleep:35:101 clock_nanosleep:230:115 clock_gettime:228:113 clock_getres:229:114
gettimeofday:96:169 time:201:- restart_syscall:219:128
# a socket pair of its own
sendto:44:206 recvfrom:45:207 sendmsg:46:211 recvmsg:47:212 shutdown:48:210 getsockopt:55:209 setsockopt:54:208
getsockname:51:204 getpeername:52:205
# looked at more closely below
clone:56:220 socketpair:53:199 ioctl:16:29 fcntl:72:25 flock:73:32 prctl:157:167 madvise:28:233 getxattr:191:8
lgetxattr:192:9 fgetxattr:193:10 listxattr:194:11 llistxattr:195:12 flistxattr:196:13
"""
_REFUSED = {1: [248, 250, 41, 29, 68, 64, 319, 425], 2: [217, 219, 198, 194, 186, 190, 279, 425]}
_LOOKED_AT = ["clone", "socketpair", "ioctl", "fcntl", "flock", "prctl", "madvise"]
_ATTRIBUTES = ["getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr"]

_MACHINES = {"x86_64": (1, 0xC000003E), "aarch64": (2, 0xC00000B7), "arm64": (2, 0xC00000B7)}  # column, AUDIT_ARCH_…
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|…|K, BPF_RET|K
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000  # SECCOMP_RET_…; the last with an errno in its low bits
_DONE_NOTHING = _REFUSE  # errno 0: the call seems to have worked
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data

_NEW_NAMESPACES = 0x7E020080  # CLONE_NEWTIME | NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET
_AF_UNIX = 1
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS TIOCGWINSZ FIONREAD FIONBIO FIONCLEX FIOCLEX
_FCNTLS = (0, 1, 2, 3, 4, 1030)  # F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC
_LOCKS = (5, 6, 7, 36, 37, 38)  # F_GETLK, F_SETLK, F_SETLKW and the three of open file descriptions
_PRCTLS = (1, 3, 15, 16, 21, 38, 39, 42, 0x53564D41)  # of itself: names, death signal, what it already may not do
_MERGED = (12, 20, 21, 100, 101)  # MADV_MERGEABLE, COLD, PAGEOUT, HWPOISON, SOFT_OFFLINE


def supported() -> bool:
    """Whether there is a list for this machine's processor."""
    return platform.machine() in _MACHINES


@functools.cache
def program(machine: str | None = None) -> bytes:
    """The filter for a kind of processor (this one's), as bubblewrap's ``--seccomp`` reads it."""
    column, architecture = _MACHINES[machine or platform.machine()]
    numbers = _numbers(column)
    rules = [*_right_kind(architecture, column)]
    plain = [name for name in numbers if name not in (*_LOOKED_AT, *_ATTRIBUTES)]
    rules += [part for name in plain for part in _if_number(numbers[name], [_answer(_ALLOW)])]
    rules += [part for name, body in _closer_looks().items() for part in _if_number(numbers[name], body)]
    rules.append(_answer(_REFUSE | errno.ENOSYS))
    return b"".join(struct.pack("=HBBI", *rule) for rule in rules)


def refused_numbers() -> list[int]:
    """Of this machine: add_key, keyctl, socket, shmget, msgget, semget, memfd_create, io_uring_setup, for a test."""
    return _REFUSED[_MACHINES[platform.machine()][0]]


def keyctl() -> int:
    """The number of the call on keyrings, on this machine."""
    return refused_numbers()[1]


def _numbers(column: int) -> dict[str, int]:
    words = (word.split(":") for line in _CALLS.splitlines() if line[:1] != "#" for word in line.split())
    return {parts[0]: int(parts[column]) for parts in words if parts[column] != "-"}


Rule = tuple[int, int, int, int]  # code, jump if true, jump if false, value


def _answer(value: int) -> Rule:
    return (_ANSWER, 0, 0, value)


def _right_kind(architecture: int, column: int) -> Iterator[Rule]:
    """Numbers mean these calls on this architecture alone; x86-64 has a second set of numbers from 2³⁰ on."""
    yield from [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), _answer(_KILL), (_LOAD, 0, 0, _NUMBER)]
    if column == 1:
        yield from [(_AT_LEAST, 0, 1, 2**30), _answer(_REFUSE | errno.ENOSYS)]


def _if_number(number: int, body: list[Rule]) -> list[Rule]:
    """The body, which must end in an answer, for one call; the others jump over it."""
    return [(_EQUAL, 0, len(body), number), *body]


def _closer_looks() -> dict[str, list[Rule]]:
    refused = {
        "clone": [_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _answer(_REFUSE | errno.EPERM), _answer(_ALLOW)],
        "socketpair": _one_of(0, [_AF_UNIX], _ALLOW, _REFUSE | errno.EAFNOSUPPORT),
        "ioctl": _one_of(1, _IOCTLS, _ALLOW, _REFUSE | errno.ENOTTY),
        "fcntl": _one_of(1, _FCNTLS, _ALLOW, None) + _one_of(1, _LOCKS, _DONE_NOTHING, _REFUSE | errno.EINVAL),
        "flock": [_answer(_DONE_NOTHING)],
        "prctl": _one_of(0, _PRCTLS, _ALLOW, _REFUSE | errno.EINVAL),
        "madvise": _one_of(2, _MERGED, _REFUSE | errno.EINVAL, _ALLOW),
    }
    return refused | {name: [_answer(_REFUSE | errno.EOPNOTSUPP)] for name in _ATTRIBUTES}


def _argument(number: int) -> Rule:
    """The low half of an argument; both kinds of processor are little-endian."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * number)


def _one_of(argument: int, values: Iterable[int], then: int, otherwise: int | None) -> list[Rule]:
    rules = [_argument(argument)]
    for value in values:
        rules += [(_EQUAL, 0, 1, value), _answer(then)]
    return rules if otherwise is None else [*rules, _answer(otherwise)]

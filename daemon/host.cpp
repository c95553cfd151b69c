#include "daemon/host.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/file.h"
#include "base/priority.h"
#include "base/syscalls.h"
#include "base/undo.h"
#include "daemon/host_room.h"
#include "daemon/log.h"
#include "daemon/network_names.h"
#include "netns/firewall.h"
#include "netns/host.h"
#include "overlayfs/quota.h"
#include "overlayfs/store_file.h"
#include "overlayfs/upper.h"
#include "runtime/protocol.h"

namespace hutch::daemon {
namespace {

// Not flock(2), nor a lock of the open file: a child that is on its way to become an init when the daemon is killed has
// a copy of the descriptor for a moment, and the next daemon would find itself locked out.
bool lock(int file) {
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (fcntl(file, F_SETLK, &whole) == 0) return true;
    // A child of a daemon that was killed shares its descriptors, and may be on its way out still.
    struct flock held = whole;
    const bool known = fcntl(file, F_GETLK, &held) == 0 && held.l_type != F_UNLCK;
    const bool gone = known && kill(held.l_pid, 0) != 0 && errno == ESRCH;
    return fcntl(file, gone ? F_SETLKW : F_SETLK, &whole) == 0;
}

// Each box has a limit of terminals of its own; the kernel has one for all of them together, 3,072 by default, and
// keeps pty/reserve of it back for the host.
void make_room_for_terminals(uint32_t boxes) {
    const std::string limit = "/proc/sys/kernel/pty/max";
    const auto number_in = [](const std::string& path) {
        const auto text = read_file_at(AT_FDCWD, path);
        return text.ok() ? std::atoll(text.value().c_str()) : 0;
    };
    const int64_t wanted = number_in("/proc/sys/kernel/pty/reserve") + int64_t{boxes} * runtime::kTerminalsPerBox;
    if (number_in(limit) >= wanted) return;
    const auto raised = write_value_at(AT_FDCWD, limit, std::to_string(wanted));
    if (raised.ok()) return log_info("raised kernel.pty.max to {}, the terminals of {} boxes", wanted, boxes);
    log_warning("{}; a few boxes can take all terminals of the others", raised.error().message);
}

// A daemon that lives on the same addresses fights with this one; what one that is gone has left, closes the gateway.
Result<void> refuse_intruders(const netns::Config& network) {
    for (const netns::Intruder& intruder : TRY(netns::find_intruders(network))) {
        if (is_running(intruder.name)) {
            return Error{ErrorKind::kConflict, 0,
                         "network: " + intruder.what + ", overlaps " + to_string(network.range) +
                             ": the hutchd called " + intruder.name + " runs; give this one a network of its own"};
        }
        log_error(
            "network: {}, overlaps {}: a hutchd called {} has left it, and it closes boxes' gateway; remove it by: {}",
            intruder.what, to_string(network.range), intruder.name, intruder.remove);
    }
    return {};
}

}  // namespace

Result<UniqueFd> lock_state(const Config& config) {
    TRY(make_dirs_at(AT_FDCWD, config.state_dir, 0700));
    TRY(make_dirs_at(AT_FDCWD, config.run_dir, 0755));
    UniqueFd file = TRY(open_at(AT_FDCWD, config.state_dir + "/lock", O_RDWR | O_CREAT, 0600));
    if (!lock(file.get())) {
        return Error{ErrorKind::kConflict, errno, "state_dir: another hutchd uses " + config.state_dir};
    }
    return file;
}

void remove_new_firewall(const netns::Policies& policies, const netns::Config& network) {
    if (policies.found_table() || !policies.loaded_with().empty()) return;
    const auto removed = netns::remove_firewall(network);
    if (!removed.ok()) log_error("{}", removed.error().message);
}

Result<UniqueFd> lock_name(const Config& config) {
    UniqueFd file = TRY(open_at(AT_FDCWD, lock_file_of(config.name), O_RDWR | O_CREAT, 0600));
    if (!lock(file.get())) {
        return Error{
            ErrorKind::kConflict, errno,
            "name: another hutchd is called " + config.name + "; give this one a name and a network of its own"};
    }
    return file;
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

void decline_oom_killer() {
    const auto file = open_at(AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY);
    const auto set = file.ok() ? write_all(file.value().get(), "-900") : Result<void>(file.error());
    if (!set.ok()) log_warning("{}: out of memory, the kernel may end hutchd before its boxes", set.error().message);
}

void come_before_boxes() {
    if (set_priority(kShortWork) == 0) return;
    log_warning("sched_setattr: {}: boxes that compute without pause may delay the daemon", strerror(errno));
}

CustomerLimits::Limits limits_of_host(const Config& config) {
    const auto room = host_room();
    struct statvfs store {};
    const bool found = statvfs(config.store_dir().c_str(), &store) == 0;
    return default_limits(room.ok() ? room.value().memory_bytes : 0,
                          found ? static_cast<int64_t>(store.f_blocks * store.f_frsize) : 0);
}

Result<void> mount_store(const Config& config) {
    // All threads share it. What we mount is seen by nobody else; what the host mounts still arrives.
    if (unshare(CLONE_NEWNS) != 0) return errno_error("taking a mount namespace (is this root?)");
    if (sys_mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) return errno_error("making / a slave mount");

    const std::string file = config.store_file();
    const std::string store = config.store_dir();
    TRY(make_dirs_at(AT_FDCWD, store, 0700));
    if (access(file.c_str(), F_OK) != 0) {
        if (config.store_size == 0) return {};
        const UniqueFd directory = TRY(open_at(AT_FDCWD, store, O_RDONLY | O_DIRECTORY));
        if (!TRY(holds_nothing(directory.get()))) {
            return Error{ErrorKind::kConflict, 0,
                         "store_size: " + store + " holds a store already; move it away, or leave store_size out"};
        }
        TRY_IN("store_size", overlayfs::make_store_file(file, config.store_size, store));
        log_info("made {}, the file system of the store", file);
    }
    TRY(overlayfs::mount_store_file(file, store));
    const auto grown = overlayfs::grow_store_file(file, config.store_size, store);
    // Of boxes that were there before, none may be kept from service by that.
    if (!grown.ok()) log_error("store_size: {}", grown.error().message);
    if (grown.ok() && grown.value()) log_info("made {} larger", file);
    return {};
}

Result<Mechanisms> prepare_host(const Config& config, std::map<netns::Ipv4, netns::Policy> policies) {
    const netns::Config network = TRY(network_of(config));
    TRY(refuse_intruders(network));
    if (TRY(netns::enable_forwarding())) log_info("turned on net.ipv4.ip_forward");
    make_room_for_terminals(config.max_boxes);
    auto in_force = TRY(netns::Policies::load(network, std::move(policies)));
    Undo remove_firewall([&] { remove_new_firewall(*in_force, network); });

    auto store = TRY_IN("opening the store", overlayfs::Store::open(config.store_dir()));
    if (overlayfs::quota_of_uppers(store.root()) == overlayfs::Quota::kNone) {
        log_warning("{}: its file system enforces no quota, so a box can fill it; see: hutchd doctor", store.path());
    }
    auto cgroups = TRY(cgroups::Hierarchy::open(config.name));
    auto launcher = TRY(runtime::Launcher::prepare());
    const HostRoom room = TRY(host_room());
    auto uid_slots = TRY(UidSlots::open(UidSlots::kClaims, config.name));
    remove_firewall.commit();
    return Mechanisms{config,
                      network,
                      std::move(store),
                      std::move(cgroups),
                      share_of(room),
                      std::move(launcher),
                      std::move(uid_slots),
                      std::move(in_force),
                      nullptr,
                      nullptr,
                      nullptr,
                      std::make_unique<netns::KnownNames>()};
}

}  // namespace hutch::daemon

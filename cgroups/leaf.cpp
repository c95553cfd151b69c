#include "cgroups/leaf.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "base/file.h"
#include "base/ids.h"
#include "base/syscalls.h"
#include "base/undo.h"
#include "cgroups/names.h"
#include "cgroups/values.h"

namespace hutch::cgroups {
namespace {

Result<void> check_name(const std::string& name) {
    if (!is_safe_id(name)) return invalid("\"" + name + "\" cannot name a leaf");
    return {};
}

Result<std::vector<std::string>> pids_in(int group) {
    std::istringstream list(TRY(read_file_at(group, kProcs)));
    std::vector<std::string> pids;
    for (std::string pid; list >> pid;) pids.push_back(pid);
    return pids;
}

}  // namespace

Result<Leaf> Leaf::create(int group, const std::string& name, uid_t owner) {
    TRY(check_name(name));
    if (mkdirat(group, name.c_str(), 0755) != 0) return errno_error("making leaf " + name);
    Undo removal([&] { (void)remove_group_at(group, name); });
    Leaf leaf = TRY(open(group, name));
    if (fchownat(leaf.fd(), kProcs, owner, owner, 0) != 0) return errno_error("giving away leaf " + name);
    removal.commit();
    return leaf;
}

Result<Leaf> Leaf::open(int group, const std::string& name) {
    TRY(check_name(name));
    return Leaf(TRY(open_at(group, name, O_RDONLY | O_DIRECTORY)), name);
}

Result<uint64_t> Leaf::cpu_ns() const {
    return TRY_IN("leaf " + name_, read_cpu_ns(fd()));
}

Result<UniqueFd> Leaf::open_events() const {
    return TRY_IN("leaf " + name_, open_at(fd(), kEvents, O_RDONLY));
}

Result<void> Leaf::kill() {
    TRY_IN("leaf " + name_, kill_all(fd()));
    return {};
}

// A pid of the list may be another's by now: only who is in the list once more after he is held has been in it himself.
Result<void> Leaf::signal(int signal) {
    constexpr int kMostLooks = 4;
    std::set<std::string> told;
    for (int look = 0; look < kMostLooks; ++look) {
        std::map<std::string, UniqueFd> held;
        for (const std::string& pid : TRY_IN("leaf " + name_, pids_in(fd()))) {
            if (told.contains(pid)) continue;
            UniqueFd process(sys_pidfd_open(std::stoi(pid)));
            if (process) held.emplace(pid, std::move(process));
        }
        if (held.empty()) return {};
        for (const std::string& pid : TRY_IN("leaf " + name_, pids_in(fd()))) {
            const auto process = held.find(pid);
            if (process == held.end()) continue;
            if (sys_pidfd_send_signal(process->second.get(), signal) != 0 && errno != ESRCH) {
                return errno_error("signalling process " + pid + " of leaf " + name_);
            }
            told.insert(pid);
        }
    }
    return {};
}

Result<void> Leaf::wait_empty(Millis timeout) {
    TRY_IN("leaf " + name_, wait_until_empty(fd(), std::chrono::steady_clock::now() + timeout));
    return {};
}

// By way of "..", so that a leaf needs no second descriptor. A removed directory still knows where it was.
Result<void> Leaf::remove() {
    return remove_group_at(fd(), "../" + name_);
}

}  // namespace hutch::cgroups

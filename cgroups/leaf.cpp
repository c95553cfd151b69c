#include "cgroups/leaf.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ids.h"
#include "base/undo.h"
#include "cgroups/names.h"
#include "cgroups/values.h"

namespace hutch::cgroups {
namespace {

Result<void> check_name(const std::string& name) {
    if (!is_safe_id(name)) return invalid("\"" + name + "\" cannot name a leaf");
    return {};
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

Result<void> Leaf::wait_empty(Millis timeout) {
    TRY_IN("leaf " + name_, wait_until_empty(fd(), std::chrono::steady_clock::now() + timeout));
    return {};
}

// By way of "..", so that a leaf needs no second descriptor. A removed directory still knows where it was.
Result<void> Leaf::remove() {
    return remove_group_at(fd(), "../" + name_);
}

}  // namespace hutch::cgroups

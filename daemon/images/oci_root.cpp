#include "daemon/images/oci_root.h"

#include <sys/stat.h>

#include "daemon/wire/passwd.h"
#include "overlayfs/layer.h"
#include "overlayfs/merged_path.h"
#include "overlayfs/oci_layer.h"

namespace hutch::daemon {
namespace {

constexpr size_t kMostAccounts = size_t{256} << 10;  // bytes of /etc/passwd, or of /etc/group

Result<std::string> read_if_there(std::span<const UniqueFd> roots, const std::string& path) {
    auto text = overlayfs::read_merged(roots, path, kMostAccounts);
    if (text.ok()) return text;
    const int code = text.error().code;
    if (code == ENOENT || code == ENOTDIR || code == ELOOP) return std::string();
    if (code == EFBIG) return invalid("the image's " + path + " is larger than 256 KiB");
    return text;
}

Result<User> user_of_roots(std::span<const UniqueFd> roots, const std::string& who) {
    const std::string passwd = TRY(read_if_there(roots, "/etc/passwd"));
    const std::string group = TRY(read_if_there(roots, "/etc/group"));
    auto account = find_account(who, passwd, group);
    if (!account.ok() && who == "boxuser") return find_user(who);
    if (!account.ok()) return std::move(account).error();
    return User{account->name, account->uid, account->gid, account->home};
}

/// The longest beginning of the absolute `path` that is there, without links, and what of `path` follows it.
struct Begun {
    std::string real, rest;
};
Result<Begun> begun(std::span<const UniqueFd> roots, const std::string& path) {
    std::string there = path;
    std::string rest;
    for (int tries = 0;; ++tries) {
        constexpr int kMostMissing = 64;
        if (tries > kMostMissing) return invalid("is too deep");
        auto real = overlayfs::real_path(roots, there);
        if (real.ok()) return Begun{std::move(real).value(), rest};
        if (real.error().code == ELOOP || real.error().code == ENOTDIR)
            return invalid("leads through what is no directory");
        if (real.error().code != ENOENT) return std::move(real).error();
        const size_t slash = there.rfind('/');
        const std::string name = there.substr(slash + 1);
        if (name == "..") return invalid("leads up from what is not there");
        if (!name.empty() && name != ".") rest = rest.empty() ? name : name + "/" + rest;
        there.resize(slash);
    }
}

class Completion {
  public:
    Completion(const overlayfs::Store& store, std::span<const UniqueFd> roots) : store_(store), roots_(roots) {}
    Result<void> places();
    Result<void> work_dir(const std::string& path, const User& user);
    Result<std::optional<std::string>> seal();

  private:
    Result<std::optional<mode_t>> kind_of(const std::string& path);
    Result<void> add(const std::string& path, archives::Owner owner);

    const overlayfs::Store& store_;
    std::span<const UniqueFd> roots_;
    std::optional<overlayfs::OciLayer> layer_;
};

Result<std::optional<mode_t>> Completion::kind_of(const std::string& path) {
    overlayfs::MergedPath tree = TRY(overlayfs::MergedPath::begin(roots_));
    const auto found = TRY(tree.find(path));
    return found ? std::optional(found->status.st_mode & S_IFMT) : std::nullopt;
}

Result<void> Completion::add(const std::string& path, archives::Owner owner) {
    if (!layer_) layer_.emplace(TRY(overlayfs::OciLayer::begin(store_)));
    return layer_->add_directory(path, owner);
}

// A box mounts on these, and writes the files that tell it who it is.
Result<void> Completion::places() {
    for (const char* mounted : {"proc", "dev", "sys", "etc"}) {
        const auto kind = TRY(kind_of(mounted));
        if (!kind) {
            TRY(add(mounted, {}));
        } else if (*kind != S_IFDIR) {
            return invalid(std::string("the image has a link or a file where a box needs the directory /") + mounted);
        }
    }
    for (const char* file : {"etc/hostname", "etc/hosts", "etc/resolv.conf"}) {
        if (TRY(kind_of(file)) == S_IFDIR) {
            return invalid(std::string("the image has a directory where a box has the file /") + file);
        }
    }
    return {};
}

Result<void> Completion::work_dir(const std::string& path, const User& user) {
    if (path.front() != '/') return invalid("must be an absolute path");
    const Begun way = TRY(begun(roots_, path));
    const auto kind = way.real.empty() ? std::optional<mode_t>(S_IFDIR) : TRY(kind_of(way.real));
    if (kind != S_IFDIR) return invalid("is no directory in the image");
    std::string made = way.real;
    for (size_t begin = 0; begin < way.rest.size();) {
        const size_t end = std::min(way.rest.find('/', begin), way.rest.size());
        made += (made.empty() ? "" : "/") + way.rest.substr(begin, end - begin);
        begin = end + 1;
        TRY(add(made, {user.uid, user.gid}));
    }
    return {};
}

Result<std::optional<std::string>> Completion::seal() {
    if (!layer_) return std::optional<std::string>();
    TRY(layer_->settle(roots_));
    return std::optional(TRY(overlayfs::seal_layer(store_, layer_->take())));
}

}  // namespace

Result<User> user_in(const overlayfs::Store& store, const std::vector<std::string>& layers, const std::string& who) {
    const std::vector<UniqueFd> roots = TRY(overlayfs::open_layers(store, layers));
    return user_of_roots(roots, who);
}

Result<std::optional<std::string>> complete_root(const overlayfs::Store& store, const ImageRecord& image) {
    const std::vector<UniqueFd> roots = TRY(overlayfs::open_layers(store, image.layers));
    Completion completion(store, roots);
    TRY(completion.places());
    const User user = TRY(user_of_roots(roots, image.user));
    TRY_IN("its working directory \"" + image.work_dir + "\"", completion.work_dir(image.work_dir, user));
    return completion.seal();
}

}  // namespace hutch::daemon

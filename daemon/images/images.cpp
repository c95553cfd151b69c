#include "daemon/images/images.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "base/file.h"
#include "base/ids.h"
#include "base/undo.h"
#include "daemon/clock.h"
#include "daemon/git_identity.h"
#include "daemon/images/import_limits.h"
#include "daemon/log.h"
#include "daemon/spawn.h"
#include "overlayfs/layer.h"
#include "overlayfs/tar.h"
#include "overlayfs/upper.h"

namespace hutch::daemon {
namespace {

constexpr size_t kImageUnpackers = 2;

// Every command starts in the work dir as boxuser, so an archive that lacks either gets both. Beneath the root: an
// archive's link, or a work dir with "..", must not make directories of the host's.
Result<UniqueFd> add_home(int root, const std::string& path) {
    auto made = make_dirs_beneath(root, path);
    if (!made.ok() && (made.error().code == ELOOP || made.error().code == ENOTDIR)) {
        return invalid("the archive has a link or a file where a box needs the directory " + path);
    }
    UniqueFd dir = TRY(std::move(made));
    struct stat status {};
    if (fstat(dir.get(), &status) != 0) return errno_error("reading " + path);
    if (status.st_uid == 0 && fchown(dir.get(), 1000, 1000) != 0) return errno_error("giving " + path + " to boxuser");
    return dir;
}

// A box mounts on these, and writes the files that tell it who it is: an archive in which that cannot be is refused
// here and not at each create.
Result<void> check_places(int root) {
    for (const char* mounted : {"/proc", "/dev", "/sys", "/etc"}) {
        const auto made = make_dirs_beneath(root, mounted);
        if (made.ok()) continue;
        if (made.error().code != ELOOP && made.error().code != ENOTDIR) return made.error();
        return invalid(std::string("the archive has a link or a file where a box needs the directory ") + mounted);
    }
    for (const char* file : {"etc/hostname", "etc/hosts", "etc/resolv.conf"}) {
        struct stat status {};
        const bool there = fstatat(root, file, &status, AT_SYMLINK_NOFOLLOW) == 0;
        if (there && S_ISDIR(status.st_mode)) {
            return invalid(std::string("the archive has a directory where a box has the file /") + file);
        }
    }
    return {};
}

// Who commits in a box that is told nothing: in boxuser's own settings, which commands find that no call of ours ran,
// and here, where it costs no box anything. What the archive says of it stays, as does what is no plain file.
Result<void> add_identity(int home) {
    constexpr int kFlags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    const UniqueFd fd(openat(home, ".gitconfig", kFlags, 0644));
    struct stat status {};
    if (!fd && (errno == ELOOP || errno == EISDIR || errno == ENXIO)) return {};
    if (!fd || fstat(fd.get(), &status) != 0) return errno_error("opening .gitconfig");
    if (!S_ISREG(status.st_mode)) return {};
    const auto old = read_all(fd.get(), ".gitconfig");
    if (!old.ok() || old.value().find("[user") != std::string::npos) return {};
    const std::string text = std::string(old.value().empty() || old.value().ends_with('\n') ? "" : "\n") +
                             "[user]\n\tname = " + kGitName + "\n\temail = " + kGitEmail + "\n";
    TRY(write_all(fd.get(), text));
    if (status.st_uid == 0 && fchown(fd.get(), 1000, 1000) != 0) return errno_error("giving .gitconfig to boxuser");
    return {};
}

// What follows the archive's end (blocks of zeros, as many as its maker liked) is taken too, or the upload would fail.
Result<void> read_rest(const overlayfs::Pull& pull) {
    std::string rest(65536, '\0');
    while (TRY(pull(rest.data(), rest.size())) > 0) {
    }
    return {};
}

Result<overlayfs::Import> unpack(const overlayfs::Store& store, int archive, const std::string& work_dir) {
    overlayfs::Import import = TRY(overlayfs::begin_layer(store));
    const overlayfs::Pull pull = overlayfs::pull_from(archive);
    TRY(overlayfs::import_tar(pull, import, kImportLimits));
    TRY(read_rest(pull));
    TRY(check_places(import.root()));
    const UniqueFd home = TRY(add_home(import.root(), "/home/boxuser"));
    TRY(add_identity(home.get()));
    TRY(add_home(import.root(), work_dir));
    return import;
}

Result<void> check_work_dir(const std::string& path) {
    if (path.size() >= 2 && path.front() == '/' && path.find('\0') == std::string::npos) return {};
    return invalid("workdir: must be an absolute path inside the image");
}

// Those that come with Hutch, in scripts/images.
bool has_recipe(const std::string& name) {
    static const char* const kRecipes[] = {"agents", "busybox", "debian", "golang", "node", "python", "ruby", "rust"};
    return std::find(std::begin(kRecipes), std::end(kRecipes), name) != std::end(kRecipes);
}

// Apart, because GCC 12 cannot keep an initializer list within a coroutine.
std::vector<std::string> shell(const std::string& script) {
    return {"/bin/sh", "-c", script};
}

// The script to its end, or to its death when `gone` is done first.
Task<Result<Outcome>> finish(Run& run, Sink output, Gone gone) {
    auto outcome = co_await unless(gone(), run.follow(output, output, Reader::kClient));
    if (outcome) co_return *std::move(outcome);
    run.cancel();
    (void)co_await run.outcome();
    co_return Error{ErrorKind::kConflict, 0, "script: its client went away; nothing was kept"};
}

}  // namespace

Images::Images(Manager& manager, Runs& runs)
    : manager_(manager),
      runs_(runs),
      unpackers_(manager.executor(), kImageUnpackers, kImageUnpackers),
      oci_(manager,
           [this](const std::string& layer, const std::string& customer) { return may_share(layer, customer); }) {
    manager_.layers().add_user([this](const std::string& layer) { return uses_layer(layer); });
    manager_.limits().add_measure(Resource::kDisk, [this](const std::string& customer) { return disk_of(customer); });
}

Result<void> check_name(const std::string& field, const std::string& name) {
    const auto allowed = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
    };
    if (name.empty() || name.size() > 64 || std::isalnum(static_cast<unsigned char>(name.front())) == 0 ||
        !std::all_of(name.begin(), name.end(), allowed)) {
        return invalid(field + ": must be 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit");
    }
    return {};
}

Result<void> check_image_name(const std::string& field, const std::string& name) {
    constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:@/";
    bool begins = true;  // of the name, or after a '/'
    bool good = name.size() <= 255;
    for (const char c : name) {
        if (begins && std::isalnum(static_cast<unsigned char>(c)) == 0) good = false;
        if (kLetters.find(c) == std::string_view::npos) good = false;
        begins = c == '/';
    }
    if (good && !begins) return {};
    return invalid(field +
                   ": must be 1 to 255 letters, digits, '.', '_', '-', ':', '@' or '/', with a letter or digit at its "
                   "beginning and after each '/'");
}

Result<void> Images::load() {
    for (ImageRecord& image : TRY(manager_.records().images())) {
        const auto missing = manager_.layers().missing(image.layers);
        if (missing || image.layers.empty()) {
            log_error("image {}: its layer {} is not in the store; make the image again", image.name,
                      missing.value_or("list"));
            continue;
        }
        const Key key{image.name, image.customer};
        images_[key] = std::move(image);
    }
    return {};
}

Result<ImageRecord> Images::find(const std::string& name, const std::string& customer) {
    for (const std::string& owner : {customer, std::string(kLocalCustomer)}) {
        const auto found = images_.find({name, owner});
        if (found != images_.end()) return found->second;
    }
    const std::string there = names(customer);
    std::string others;
    for (const Making& other : making()) {
        if (other.name() == name || other.wanted_by() == name) {
            const std::string first = other.name() == name ? "" : ": \"" + other.name() + "\" first";
            return Error{ErrorKind::kConflict, 0,
                         "image \"" + name + "\" is being made" + first + ", " + other.progress() +
                             "; try again when it is there (hutch image ls shows it)" +
                             (there.empty() ? "" : ", or name another: " + there)};
        }
        others += "; being made now: " + other.name() + ", " + other.progress();
    }
    std::string sentence = "no image is called \"" + name + "\"";
    if (has_recipe(name) || there.empty()) {
        sentence += "; make it with: hutch image build " + (has_recipe(name) ? name : "debian");
    }
    return Error{ErrorKind::kNotFound, 0, sentence + (there.empty() ? "" : "; there are: " + there) + others};
}

Result<ImageRecord> Images::find_runtime(const std::string& name, const std::string& customer) {
    constexpr std::string_view kVariant = "-alpine";
    const auto known = [&](const std::string& other) {
        return images_.contains({other, customer}) || images_.contains({other, kLocalCustomer});
    };
    if (known(name)) return find(name, customer);
    if (known(name + ":latest")) return find(name + ":latest", customer);
    if (!name.ends_with(kVariant)) return find(name, customer);
    return find(name.substr(0, name.size() - kVariant.size()), customer);
}

std::string Images::names(const std::string& customer) const {
    std::string all;
    for (const auto& [key, image] : images_) {
        if (image.customer != customer && image.customer != kLocalCustomer) continue;
        all += (all.empty() ? "" : ", ") + image.name;
    }
    return all;
}

std::shared_ptr<Making> Images::begin_making(const std::string& name, const std::string& wanted_by) {
    auto one = std::make_shared<Making>(name, wanted_by);
    making_.push_back(one);
    return one;
}

std::vector<Making> Images::making() {
    std::erase_if(making_, [](const auto& one) { return one.expired(); });
    std::vector<Making> now;
    for (const auto& one : making_) now.push_back(*one.lock());
    return now;
}

std::vector<ImageRecord> Images::list() {
    std::vector<ImageRecord> all;
    for (const auto& [key, image] : images_) all.push_back(image);
    return all;
}

Task<Result<ImageRecord>> Images::keep(ImageRecord image) {
    image.size_bytes = 0;
    for (const std::string& layer : image.layers) {
        if (!manager_.layers().bytes(layer)) {
            const auto size = co_await manager_.workers().run(
                [&] { return overlayfs::layer_bytes(manager_.mechanisms().store, layer); });
            if (size.ok()) manager_.layers().learn(layer, static_cast<int64_t>(size.value()));
        }
        image.size_bytes += manager_.layers().bytes(layer).value_or(0);
    }
    image.created_at = unix_now();
    const auto put = manager_.records().put_image(image);
    if (!put.ok()) {
        manager_.layers().drop_unused(image.layers);  // the new one, which no record names
        co_return put.error();
    }
    std::vector<std::string> replaced;
    const Key key{image.name, image.customer};
    if (const auto old = images_.find(key); old != images_.end()) replaced = old->second.layers;
    images_[key] = image;
    claim_layers();
    manager_.events().publish(EventType::kImageBuilt, image);
    manager_.layers().drop_unused(replaced);
    co_return image;
}

void Images::claim_layers() {
    for (const auto& [key, image] : images_) {
        if (image.customer != kLocalCustomer) continue;  // who has them pays for them
        for (const std::string& layer : image.layers) manager_.layers().belongs_to_image(layer);
    }
}

bool Images::uses_layer(const std::string& layer) const {
    if (in_hand_.contains(layer)) return true;
    return std::any_of(images_.begin(), images_.end(),
                       [&layer](const auto& entry) { return contains(entry.second.layers, layer); });
}

Task<Result<ImageRecord>> Images::import(ImportImage command, Source source) {
    CO_TRY(check_image_name("name", command.name));
    CO_TRY(find_user(command.user));
    CO_TRY(check_work_dir(command.work_dir));
    const auto making = begin_making(command.name, command.wanted_by);
    const Undo nudge([this] { manager_.mechanisms().reaper->nudge(); });  // what is given up lies in the trash
    const auto import = std::make_shared<std::optional<overlayfs::Import>>();
    const overlayfs::Store& store = manager_.mechanisms().store;
    const auto unpack_it = [import, &store, work_dir = command.work_dir](int archive) -> Result<void> {
        import->emplace(TRY(unpack(store, archive, work_dir)));
        return {};
    };
    auto unpacked = co_await unpackers_.run("unpacking image " + command.name, "", unpack_it, std::move(source));
    if (!unpacked.ok()) co_return std::move(unpacked).error().in("importing image " + command.name);
    auto layer = co_await manager_.workers().run([&] { return overlayfs::seal_layer(store, std::move(**import)); });
    if (!layer.ok()) co_return std::move(layer).error().in("importing image " + command.name);
    ImageRecord image;
    image.name = command.name;
    image.user = command.user;
    image.work_dir = command.work_dir;
    image.env = std::move(command.env);
    image.layers.push_back(layer.value());
    co_return co_await keep(std::move(image));
}

Task<Result<std::string>> Images::run_script(std::shared_ptr<Box> box, const std::string& script, Sink output,
                                             Gone gone) {
    Command command;
    command.argv = shell(script);
    command.work_dir = "/";
    command.recorded = false;
    command.env = box->record.env;
    command.env.emplace_back("DEBIAN_FRONTEND", "noninteractive");
    CO_TRY_LET(command.user, find_user("root"));
    {
        CO_TRY_LET(const auto run, co_await runs_.start(box, command, UniqueFd()));
        CO_TRY_LET(const Outcome outcome, co_await finish(*run, output, gone));
        if (outcome.exit_code != 0) {
            co_return invalid("script: it ended with exit status " + std::to_string(outcome.exit_code) +
                              "; nothing was kept");
        }
    }
    CO_TRY(co_await manager_.stop(box));
    const std::string layer = random_id();
    auto sealed = co_await manager_.workers().run(
        [&] { return overlayfs::seal_upper(manager_.mechanisms().store, box->record.id, layer); });
    if (!sealed.ok()) co_return std::move(sealed).error();
    co_return layer;
}

Task<Result<ImageRecord>> Images::build(BuildImage command, Sink output, Gone gone) {
    CO_TRY(check_image_name("name", command.name));
    CO_TRY_LET(const ImageRecord from, find(command.from));
    auto making = begin_making(command.name, command.wanted_by);
    const Sink heard = [&making, &output](std::string_view piece) {
        making->hear(piece);
        return output(piece);
    };
    CreateBox workshop;
    workshop.image = from;
    workshop.env = command.env;
    workshop.internal = true;
    CO_TRY_LET(auto box, co_await manager_.create(std::move(workshop)));
    auto layer = co_await caught(run_script(box, command.script, heard, std::move(gone)));
    Result<ImageRecord> image = Error{};
    if (layer.ok()) {
        ImageRecord made = from;
        made.name = command.name;
        made.parent = command.from;
        made.source.clear();  // it is what was pulled no more
        made.digest.clear();
        for (auto& variable : command.env) {
            std::erase_if(made.env, [&variable](const auto& older) { return older.first == variable.first; });
            made.env.push_back(std::move(variable));
        }
        made.layers.insert(made.layers.begin(), layer.value());
        image = co_await caught(keep(std::move(made)));
    } else {
        image = std::move(layer).error();
    }
    making.reset();  // what is left is to clear up
    (void)co_await manager_.remove(box);
    if (!image.ok()) co_return std::move(image).error().in("building image " + command.name);
    co_return image;
}

/// Layers are counted elsewhere; but an image of those that are there takes a place in the list.
Result<void> Images::check_room(const ImageRecord& image) const {
    constexpr ptrdiff_t kMostOwn = 100;
    if (image.customer == kLocalCustomer || images_.contains({image.name, image.customer})) return {};
    const auto own = std::count_if(images_.begin(), images_.end(),
                                   [&image](const auto& entry) { return entry.second.customer == image.customer; });
    if (own < kMostOwn) return {};
    return Error{ErrorKind::kLimit, 0, "images: 100 of your own are kept at most; delete some"};
}

Task<Result<ImageRecord>> Images::commit(ImageRecord image) {
    CO_TRY(check_image_name("name", image.name));
    CO_TRY(user_among(image.layers, image.user.empty() ? "root" : image.user));
    CO_TRY(check_room(image));
    if (image.work_dir != "/") CO_TRY(check_work_dir(image.work_dir));
    const std::vector<std::string> layers = image.layers;
    in_hand_.insert(layers.begin(), layers.end());
    const Undo let_go([this, &layers] {
        for (const std::string& layer : layers) in_hand_.erase(in_hand_.find(layer));
        manager_.layers().drop_unused(layers);
    });
    co_return co_await keep(std::move(image));
}

Result<void> Images::remove(const std::string& name, const std::string& customer) {
    const ImageRecord image = TRY(find(name, customer));
    const Key key{name, image.customer};
    for (const auto& [other, candidate] : images_) {
        // By its layers: a parent may have been made anew since, and an image may have been built on itself.
        const bool of_same = candidate.customer == image.customer;  // others' layers stay without it
        if (other != key && of_same && candidate.parent == name && contains(candidate.layers, image.layers.front())) {
            return Error{ErrorKind::kConflict, 0,
                         "image " + candidate.name + " was built on " + name + "; remove " + candidate.name + " first"};
        }
    }
    auto itself = images_.extract(key);
    Undo keep([&] { images_.insert(std::move(itself)); });
    for (const std::string& layer : image.layers) {
        if (!uses_layer(layer) && manager_.layers().used(layer)) {
            return Error{ErrorKind::kConflict, 0,
                         "image " + name +
                             " is in use by a box or a snapshot, or by steps that builds have kept; delete those first "
                             "(steps: hutch image prune)"};
        }
    }
    TRY(manager_.records().drop_image(image.customer, name));
    keep.commit();
    manager_.events().publish(EventType::kImageRemoved, image);
    manager_.layers().drop_unused(image.layers);
    return {};
}

}  // namespace hutch::daemon

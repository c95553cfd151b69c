// Images that come as others make them (OCI).

#include <algorithm>
#include <set>

#include "base/undo.h"
#include "daemon/images/images.h"
#include "daemon/images/oci_root.h"

namespace hutch::daemon {
namespace {

Result<void> check_platform(const oci::ImageConfig& config) {
    const oci::Platform own = oci::own_platform();
    if (config.os == own.os && config.architecture == own.architecture) return {};
    return invalid("the image is for " + config.os + "/" + config.architecture + "; boxes here are " + own.os + "/" +
                   own.architecture);
}

/// One text of a config, of those that may be so long together.
class TextBudget {
  public:
    TextBudget(const char* field, size_t bytes) : field_(field), left_(bytes), bytes_(bytes) {}
    Result<void> take(const std::string& text) {
        if (text.find('\0') != std::string::npos) return invalid(field_ + ": must not hold a NUL character");
        if (text.size() + 1 > left_) {
            return invalid(field_ + ": is longer than " + std::to_string(bytes_) + " bytes, all together");
        }
        left_ -= text.size() + 1;
        return {};
    }

  private:
    const std::string field_;
    size_t left_;
    const size_t bytes_;
};

// What every command of its boxes gets, and every list of images shows.
Result<void> check_texts(const oci::ImageConfig& config) {
    constexpr size_t kWords = size_t{64} << 10;
    TextBudget user("User", 512);
    TextBudget work_dir("WorkingDir", 4096);
    TextBudget env("Env", kWords);
    TextBudget argv("Entrypoint and Cmd", kWords);
    TextBudget ports("ExposedPorts", kWords);
    TextBudget labels("Labels", size_t{256} << 10);
    TRY(user.take(config.user));
    TRY(work_dir.take(config.work_dir));
    for (const auto& [name, value] : config.env) TRY(env.take(name + "=" + value));
    for (const auto* words : {&config.entrypoint, &config.cmd}) {
        for (const std::string& word : *words) TRY(argv.take(word));
    }
    for (const std::string& port : config.ports) {
        if (port.find('\n') != std::string::npos) return invalid("ExposedPorts: must not hold a line feed");
        TRY(ports.take(port));
    }
    for (const auto& [name, value] : config.labels) TRY(labels.take(name + "=" + value));
    return {};
}

ImageRecord record_of(const OciImage& image) {
    ImageRecord record;
    record.name = image.name;
    record.env = image.config.env;
    record.user = image.config.user.empty() ? "root" : image.config.user;
    record.work_dir = image.config.work_dir.empty() ? "/" : image.config.work_dir;
    record.customer = image.customer;
    record.entrypoint = image.config.entrypoint;
    record.cmd = image.config.cmd;
    record.labels = image.config.labels;
    record.ports = image.config.ports;
    record.source = image.source;
    record.digest = image.digest;
    return record;
}

std::string all_names(const std::vector<PackedImage>& images) {
    std::string all;
    for (const PackedImage& image : images) {
        for (const std::string& name : image.names) all += (all.empty() ? "" : ", ") + name;
    }
    return all.empty() ? std::to_string(images.size()) + " without a name" : all;
}

/// Has the images of an archive called so.
Result<void> name_images(std::vector<PackedImage>& images, const std::string& name) {
    if (!name.empty() && images.size() > 1) {
        return invalid("name: the archive holds several images, of which only one could be called so: " +
                       all_names(images));
    }
    if (!name.empty()) images.front().names = {name};
    for (const PackedImage& image : images) {
        if (image.names.empty())
            return invalid("name: is required, as the archive does not tell what the image is called");
        for (const std::string& one : image.names) TRY(check_image_name("name", one));
    }
    return {};
}

}  // namespace

// To know a digest is no proof of having what it stands for: another customer's layers are not shared.
bool Images::may_share(const std::string& layer, const std::string& customer) const {
    return customer == kLocalCustomer || std::any_of(images_.begin(), images_.end(), [&](const auto& entry) {
               const ImageRecord& image = entry.second;
               return (image.customer == customer || image.customer == kLocalCustomer) && contains(image.layers, layer);
           });
}

Result<User> Images::user_among(const std::vector<std::string>& layers, const std::string& who) {
    constexpr size_t kMostKnown = 1000;
    constexpr size_t kLongest = 256;
    if (who.size() > kLongest) return invalid("user: longer than 256 characters");
    if (layers.empty()) return find_user(who);
    const Key key{who, layers.front()};
    if (const auto known = users_.find(key); known != users_.end()) return known->second;
    User user = TRY(user_in(manager_.mechanisms().store, layers, who));
    if (users_.size() >= kMostKnown) users_.clear();
    users_[key] = user;
    return user;
}

Usual Images::usual_of(const Box& box) {
    const auto image = find(box.record.image, box.record.customer);  // may have been replaced or removed since
    auto user = image.ok() ? user_among(image.value().layers, image.value().user) : find_user("boxuser");
    Usual usual;
    usual.user = user.ok() ? std::move(user).value() : find_user("boxuser").value();
    if (image.ok()) usual.work_dir = image.value().work_dir;
    return usual;
}

Result<User> Images::user_of(const Box& box, const std::string& who) {
    return user_among(box.record.layers, who.empty() ? "root" : who);
}

Images::Holders Images::holders() const {
    Holders holders;
    for (const auto& [key, image] : images_) {
        for (const std::string& layer : image.layers) ++holders[layer];
    }
    return holders;
}

int64_t Images::own_bytes(const ImageRecord& image, const Holders& holders) const {
    int64_t sum = 0;
    for (const std::string& layer : image.layers) {
        const auto known = holders.find(layer);
        if (known == holders.end() || known->second <= 1) sum += manager_.layers().bytes(layer).value_or(0);
    }
    return sum;
}

int64_t Images::disk_of(const std::string& customer) const {
    std::set<std::string> layers;
    if (customer == kLocalCustomer) return 0;
    for (const auto& [key, image] : images_) {
        if (image.customer == customer) layers.insert(image.layers.begin(), image.layers.end());
    }
    if (layers.empty()) return 0;
    for (const auto& [key, image] : images_) {
        if (image.customer != kLocalCustomer) continue;
        for (const std::string& layer : image.layers) layers.erase(layer);
    }
    int64_t sum = 0;
    for (const std::string& layer : layers) sum += manager_.layers().bytes(layer).value_or(0);
    return sum;
}

// What a box needs and the image lacks, in a layer of its own on top: its layers are others' too.
Task<Result<void>> Images::complete(ImageRecord& record) {
    for (const auto& [key, other] : images_) {
        const bool same = !record.digest.empty() && other.digest == record.digest && other.customer == record.customer;
        if (!same || other.layers.size() != record.layers.size() + 1) continue;
        if (!std::equal(record.layers.begin(), record.layers.end(), other.layers.begin() + 1)) continue;
        record.layers = other.layers;
        co_return Result<void>();
    }
    const auto work = [&] { return complete_root(manager_.mechanisms().store, record); };
    CO_TRY_LET(const auto layer, co_await manager_.workers().run_for(record.customer, work));
    if (layer) record.layers.insert(record.layers.begin(), *layer);
    co_return Result<void>();
}

Task<Result<ImageRecord>> Images::import_oci(OciImage image, OpenBlob open, Progress progress) {
    const std::string operation = "importing image " + image.name;
    CO_TRY(check_image_name("name", image.name));
    CO_TRY(check_platform(image.config));
    CO_TRY(check_texts(image.config));
    // What a customer brings is nothing for the others to see.
    const bool shared = image.customer == kLocalCustomer;
    const auto making = shared ? begin_making(image.name, "") : std::make_shared<Making>(image.name, "");
    const Undo nudge([this] { manager_.mechanisms().reaper->nudge(); });  // what is given up lies in the trash
    const Progress heard = [&making, &progress](const std::string& line) {
        making->hear(line + "\n");
        if (progress) progress(line);
    };
    auto stack = co_await oci_.bring(image, std::move(open), heard);
    if (!stack.ok()) co_return Error(stack.error()).in(operation);
    ImageRecord record = record_of(image);
    record.layers = stack.value().layers;
    const auto completed = co_await complete(record);
    if (!completed.ok()) co_return Error(completed.error()).in(operation);
    CO_TRY(check_room(record));
    co_return co_await keep(std::move(record));
}

Task<Result<std::vector<ImageRecord>>> Images::load_archive(std::string name, Source source) {
    if (!name.empty()) CO_TRY(check_image_name("name", name));
    const auto archive = std::make_shared<std::optional<OciArchive>>();
    const overlayfs::Store& store = manager_.mechanisms().store;
    const PipedWorkers::Work take = [archive, &store](int pipe) -> Result<void> {
        archive->emplace(TRY(OciArchive::read(store, pipe)));
        return {};
    };
    CO_TRY(co_await unpackers_.run("loading an archive of images", "", take, std::move(source)));
    const auto look = [archive] { return (*archive)->images(); };
    CO_TRY_LET(std::vector<PackedImage> packed, co_await manager_.workers().run(look));
    CO_TRY(name_images(packed, name));
    std::vector<ImageRecord> records;
    for (const PackedImage& one : packed) {
        const OpenBlob open = [&one, archive](size_t index) -> Task<Result<OciBlob>> {
            co_return (*archive)->open(one.blobs[index]);
        };
        for (const std::string& called : one.names) {
            OciImage image = one.image;
            image.name = called;
            CO_TRY_LET(ImageRecord record, co_await import_oci(std::move(image), open));
            records.push_back(std::move(record));
        }
    }
    co_return records;
}

}  // namespace hutch::daemon

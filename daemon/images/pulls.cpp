#include "daemon/images/pulls.h"

#include "base/undo.h"
#include "daemon/digest.h"
#include "daemon/images/oci_import.h"
#include "daemon/spawn.h"

namespace hutch::daemon {
namespace {

// Which document it is. What says nothing ("application/json") is what the document says itself.
Result<std::string> document_type(const RawManifest& raw) {
    const bool said = raw.media_type.starts_with("application/vnd.");
    const std::string type = said ? raw.media_type : TRY(oci::media_type_of(raw.text));
    if (type.starts_with("application/vnd.docker.distribution.manifest.v1")) {
        return invalid("it is of Docker's old schema 1, which is not taken; push it anew with a newer docker");
    }
    return type;
}

bool is_list_of_manifests(std::string_view type) {
    return type == oci::kIndexType || type == oci::kDockerListType;
}

Result<oci::Manifest> read_manifest(const RawManifest& raw) {
    const std::string type = TRY(document_type(raw));
    const bool known = type.empty() || type == oci::kManifestType || type == oci::kDockerManifestType;
    if (!known) return invalid("it is no image: its media type is " + type.substr(0, 100));
    return oci::parse_manifest(raw.text);
}

Result<oci::Descriptor> read_index(const std::string& text) {
    return oci::choose(TRY(oci::parse_index(text)), oci::own_platform());
}

Error given_up(const PullImage& command) {
    return Error{ErrorKind::kConflict, 0, "pulling " + command.reference.text() + ": nobody waits for it any more"};
}

Task<Result<std::string>> read_small_blob(Repository& repository, const oci::Descriptor& blob) {
    if (blob.size > static_cast<int64_t>(oci::kMaxDocumentBytes)) {
        co_return Error{ErrorKind::kTooLarge, 0, "its config is larger than 4 MiB"};
    }
    CO_TRY_LET(const Repository::Stream stream, co_await repository.blob(blob.digest, 0));
    std::string text;
    while (true) {
        CO_TRY_LET(const std::string piece, co_await stream.fetch->read());
        if (piece.empty()) break;
        text += piece;
        if (static_cast<int64_t>(text.size()) > blob.size) break;
    }
    if (static_cast<int64_t>(text.size()) != blob.size || digest_of(text) != blob.digest) {
        co_return Error{ErrorKind::kConflict, 0, "its config is not what the manifest says"};
    }
    co_return text;
}

}  // namespace

struct Pulls::Found {
    std::string digest;  ///< of the manifest
    oci::Manifest manifest;
    oci::ImageConfig config;
};

Pulls::Pulls(Manager& manager, Images& images, Registries& registries)
    : manager_(manager), images_(images), registries_(registries) {}

std::optional<ImageRecord> Pulls::here(const std::string& customer, const Reference& reference) const {
    const std::string source = reference.text();
    std::optional<ImageRecord> shared;
    for (ImageRecord& image : images_.list()) {
        if (image.source != source) continue;
        if (image.customer == customer) return std::move(image);
        if (image.customer == kLocalCustomer) shared = std::move(image);
    }
    return shared;
}

std::shared_ptr<Pull> Pulls::begin(PullImage command) {
    std::erase_if(under_way_, [](const auto& entry) { return entry.second.expired(); });
    std::string key = command.customer + "\n" + command.reference.text() + "\n" + command.name;
    if (command.login) {
        key += "\n" + sha256_hex(command.login->user + "\n" + command.login->password + "\n" + command.login->refresh);
    }
    if (auto pull = under_way_[key].lock(); pull && !pull->outcome) return pull;
    const auto pull = std::make_shared<Pull>(manager_.executor());
    // What callers hold is not what the work holds: when the last of them has gone, it is given up.
    std::shared_ptr<Pull> held(pull.get(), [pull](Pull*) { pull->abandoned.set(); });
    under_way_[key] = held;
    const std::string what = "pulling " + command.reference.text();
    const std::function<Task<>()> run = [this, pull, command = std::move(command)]() -> Task<> {
        pull->outcome = co_await caught(work(pull, command));
        pull->changed.notify();
    };
    spawn(manager_.executor(), what, run, [pull](const Result<void>& how) {
        if (!pull->outcome) pull->outcome = how.ok() ? Error{} : how.error();
        pull->changed.notify();
    });
    return held;
}

Task<Result<ImageRecord>> Pulls::pull(PullImage command) {
    const auto pull = begin(std::move(command));
    while (!pull->outcome) {
        co_await pull->changed.wait();
    }
    co_return *pull->outcome;
}

Task<Result<ImageRecord>> Pulls::work(std::shared_ptr<Pull> pull, PullImage command) {
    const auto turn = co_await unless(pull->abandoned.wait(), pulling_.take(command.customer));
    if (!turn) co_return given_up(command);
    const std::string what = "pulling " + command.reference.text();
    auto repository = registries_.repository(command.customer, command.reference, command.login, RegistryAccess::kPull);
    if (!repository.ok()) co_return std::move(repository).error().in(what);
    auto looked = co_await unless(pull->abandoned.wait(), look(repository.value(), command.reference.manifest()));
    if (!looked) co_return given_up(command);
    Result<Found> found = *std::move(looked);
    if (!found.ok()) co_return std::move(found).error().in(what);
    const auto there = images_.find(command.name, command.customer);
    const std::string source = command.reference.text();
    const bool same = there.ok() && there.value().customer == command.customer && there.value().source == source;
    if (same && there.value().digest == found.value().digest) co_return there;
    auto image =
        co_await bring(std::move(pull), std::move(command), std::move(repository).value(), std::move(found).value());
    if (!image.ok()) co_return std::move(image).error().in(what);
    co_return image;
}

// What strangers wrote is read by a worker: a document may have 4 MiB.
Task<Result<Pulls::Found>> Pulls::look(std::shared_ptr<Repository> repository, std::string wanted) {
    Workers& workers = manager_.workers();
    CO_TRY_LET(RawManifest raw, co_await repository->manifest(std::move(wanted)));
    CO_TRY_LET(const std::string type, co_await workers.run([&raw] { return document_type(raw); }));
    if (is_list_of_manifests(type)) {
        CO_TRY_LET(const oci::Descriptor chosen, co_await workers.run([&raw] { return read_index(raw.text); }));
        CO_TRY_LET(raw, co_await repository->manifest(chosen.digest));
    }
    Found found;
    found.digest = raw.digest;
    CO_TRY_LET(found.manifest, co_await workers.run([&raw] { return read_manifest(raw); }));
    CO_TRY_LET(const std::string config, co_await read_small_blob(*repository, found.manifest.config));
    CO_TRY_LET(found.config, co_await workers.run([&config] { return oci::parse_config(config); }));
    co_return std::move(found);
}

Task<Result<ImageRecord>> Pulls::bring(std::shared_ptr<Pull> pull, PullImage command,
                                       std::shared_ptr<Repository> repository, Found found) {
    int64_t sum = 0;
    std::vector<std::string> digests;
    for (const oci::Descriptor& layer : found.manifest.layers) {
        pull->layers.push_back({layer.digest, layer.size});
        digests.push_back(layer.digest);
        sum += layer.size;
    }
    pull->changed.notify();
    CO_TRY_LET(auto hold, manager_.limits().take(command.customer, Resource::kDisk, sum));
    OciImage image;
    image.name = command.name;
    image.config = std::move(found.config);
    image.layers = found.manifest.layers;
    image.source = command.reference.text();
    image.digest = found.digest;
    image.customer = command.customer;
    const auto kept = std::make_shared<std::vector<SpooledBlob>>();
    OpenBlob open = [this, pull, repository, kept, customer = command.customer](size_t index) -> Task<Result<OciBlob>> {
        PulledLayer& layer = pull->layers.at(index);
        layer.wanted = true;
        Blobs::Heard heard = [pull, index](int64_t bytes) {
            pull->layers[index].bytes = bytes;
            pull->changed.notify();
        };
        const std::string digest = layer.digest;
        const int64_t size = layer.size;
        // Only this ends early: what is being unpacked has to come to its end.
        auto fetched = co_await unless(pull->abandoned.wait(),
                                       registries_.blobs().fetch(repository, customer, digest, size, std::move(heard)));
        if (!fetched) co_return Error{ErrorKind::kConflict, 0, "nobody waits for it any more"};
        if (!fetched->ok()) co_return std::move(*fetched).error();
        SpooledBlob blob = std::move(*fetched).value();
        OciBlob opened;
        opened.fd = std::move(blob.file);
        kept->push_back(std::move(blob));
        co_return std::move(opened);
    };
    Progress progress = [pull](const std::string& line) {
        pull->said = line;
        pull->changed.notify();
    };
    auto made = co_await images_.import_oci(std::move(image), std::move(open), std::move(progress));
    if (!made.ok()) co_return std::move(made).error();
    hold = {};  // what it has become is known now
    if (auto fits = manager_.limits().check(command.customer, Resource::kDisk, 0); !fits.ok()) {
        (void)images_.remove(command.name, command.customer);
        co_return std::move(fits).error();
    }
    kept->clear();
    co_await registries_.blobs().drop(command.customer, digests);
    co_return std::move(made);
}

}  // namespace hutch::daemon

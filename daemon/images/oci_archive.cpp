#include "daemon/images/oci_archive.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/ids.h"
#include "daemon/digest.h"
#include "daemon/images/import_limits.h"
#include "daemon/wire/docker_archive.h"

namespace hutch::daemon {
namespace {

constexpr archives::TreeLimits kArchiveLimits{
    .bytes = kImportLimits.bytes, .entries = 100'000, .names = uint64_t{8} << 20};
constexpr const char* kContainerdName = "io.containerd.image.name";

Result<UniqueFd> nameless_file(const overlayfs::Store& store) {
    const std::string name = random_id();  // what a crash leaves of it, the start sweeps with the rest of tmp/
    UniqueFd file = TRY(open_at(store.tmp(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    if (unlinkat(store.tmp(), name.c_str(), 0) != 0) return errno_error("unlinking tmp/" + name);
    return file;
}

std::string blob_path(const std::string& digest) {
    return "blobs/sha256/" + digest.substr(digest.find(':') + 1);
}

// As docker shows it: its own registry goes without saying.
std::string familiar(const std::string& name) {
    for (const std::string_view own : {"docker.io/library/", "docker.io/"}) {
        if (name.starts_with(own)) return name.substr(own.size());
    }
    return name;
}

// A layout may tell just a tag ("latest"), by which nobody could tell whose it is.
std::string name_in(const oci::Descriptor& entry) {
    const auto full = entry.annotations.find(kContainerdName);
    if (full != entry.annotations.end()) return familiar(full->second);
    const auto name = entry.annotations.find(oci::kNameAnnotation);
    if (name == entry.annotations.end() || name->second.find_first_of("/:") == std::string::npos) return "";
    return familiar(name->second);
}

/// Entries of one name are one image for several machines.
std::vector<std::pair<std::string, oci::Index>> by_name(const oci::Index& index) {
    std::vector<std::pair<std::string, oci::Index>> images;
    for (const oci::Descriptor& entry : index.manifests) {
        const std::string name = name_in(entry);
        const auto known = std::ranges::find_if(images, [&name](const auto& image) { return image.first == name; });
        oci::Index& of = known == images.end() ? images.emplace_back(name, oci::Index{}).second : known->second;
        of.manifests.push_back(entry);
    }
    return images;
}

bool is_index(const oci::Descriptor& descriptor) {
    return descriptor.media_type == oci::kIndexType || descriptor.media_type == oci::kDockerListType;
}

Result<oci::Descriptor> only_one(const oci::Index& index, const std::string& name) {
    if (index.manifests.size() == 1 && !index.manifests.front().platform) return index.manifests.front();
    const bool told =
        std::ranges::all_of(index.manifests, [](const auto& entry) { return entry.platform.has_value(); });
    if (told) return oci::choose(index, oci::own_platform());
    return invalid("index.json: has several images " +
                   (name.empty() ? std::string("without a name") : "called \"" + name + "\"") +
                   "; make an archive for each");
}

}  // namespace

Result<OciArchive> OciArchive::read(const overlayfs::Store& store, int pipe) {
    UniqueFd file = TRY(nameless_file(store));
    archives::Spooled content = TRY(archives::spool(archives::pull_from(pipe), file.get(), kArchiveLimits));
    return OciArchive(std::move(file), std::move(content));
}

Result<archives::Member> OciArchive::member(const std::string& path) const {
    const auto found = content_.find(path);
    if (found) return *found;
    return invalid("the archive lacks the file " + path);
}

Result<std::string> OciArchive::document(const std::string& path) const {
    const archives::Member found = TRY(member(path));
    if (found.size > oci::kMaxDocumentBytes) return invalid(path + ": is larger than 4 MiB");
    std::string text(found.size, '\0');
    for (size_t done = 0; done < text.size();) {
        const ssize_t n =
            pread(file_.get(), text.data() + done, text.size() - done, static_cast<off_t>(found.offset + done));
        if (n == 0 || (n < 0 && errno != EINTR)) return errno_error("reading " + path, n == 0 ? EIO : errno);
        if (n > 0) done += static_cast<size_t>(n);
    }
    return text;
}

Result<std::string> OciArchive::document_of(const oci::Descriptor& descriptor) const {
    const std::string path = blob_path(descriptor.digest);
    std::string text = TRY(document(path));
    if (digest_of(text) == descriptor.digest) return text;
    return invalid(path + ": its content has another digest, " + digest_of(text));
}

Result<OciBlob> OciArchive::open(const archives::Member& member) const {
    OciBlob blob{.fd = TRY(duplicate(file_.get())), .offset = member.offset, .size = member.size};
    return blob;
}

Result<PackedImage> OciArchive::packed(const oci::Descriptor& manifest) const {
    PackedImage packed;
    const oci::Manifest said = TRY_IN("manifest", oci::parse_manifest(TRY(document_of(manifest))));
    packed.image.config = TRY_IN("config", oci::parse_config(TRY(document_of(said.config))));
    packed.image.digest = manifest.digest;
    packed.image.layers = said.layers;
    for (const oci::Descriptor& layer : said.layers) {
        packed.blobs.push_back(TRY(member(blob_path(layer.digest))));
        if (packed.blobs.back().size != static_cast<uint64_t>(layer.size)) {
            return invalid(blob_path(layer.digest) + ": has " + std::to_string(packed.blobs.back().size) +
                           " bytes, where the manifest says " + std::to_string(layer.size));
        }
    }
    return packed;
}

Result<std::vector<PackedImage>> OciArchive::layout_images() const {
    std::vector<PackedImage> images;
    const oci::Index index = TRY_IN("index.json", oci::parse_index(TRY(document("index.json"))));
    for (const auto& [name, entries] : by_name(index)) {
        oci::Descriptor entry = TRY(only_one(entries, name));
        if (is_index(entry)) {
            const oci::Index inner = TRY_IN("index", oci::parse_index(TRY(document_of(entry))));
            entry = TRY(oci::choose(inner, oci::own_platform()));
        }
        images.push_back(TRY(packed(entry)));
        if (!name.empty()) images.back().names.push_back(name);
    }
    return images;
}

Result<std::vector<PackedImage>> OciArchive::docker_images() const {
    std::vector<PackedImage> images;
    const std::string text = TRY(document("manifest.json"));
    for (const DockerImage& image : TRY_IN("manifest.json", parse_docker_images(text))) {
        PackedImage& packed = images.emplace_back();
        packed.image.config = TRY_IN(image.config, oci::parse_config(TRY(document(image.config))));
        for (const std::string& layer : image.layers) {
            packed.blobs.push_back(TRY(member(layer)));
            packed.image.layers.emplace_back();
        }
        for (const std::string& tag : image.tags) packed.names.push_back(familiar(tag));
    }
    return images;
}

Result<std::vector<PackedImage>> OciArchive::images() const {
    std::vector<PackedImage> images;
    if (content_.find("index.json")) {
        images = TRY(layout_images());
    } else if (content_.find("manifest.json")) {
        images = TRY(docker_images());
    } else {
        return invalid(
            "the archive has neither an index.json (an OCI layout) nor a manifest.json (`docker save`); a root"
            " filesystem's archive is for: hutch image import");
    }
    if (images.empty()) return invalid("the archive holds no image");
    return images;
}

}  // namespace hutch::daemon

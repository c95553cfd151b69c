#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "daemon/box/manager.h"
#include "daemon/files/files.h"
#include "daemon/images/making.h"
#include "daemon/images/oci_archive.h"
#include "daemon/images/oci_import.h"
#include "daemon/piped_workers.h"
#include "daemon/run/runs.h"

namespace hutch::daemon {

struct ImportImage {
    std::string name;
    std::string user = "boxuser";
    std::string work_dir = "/workspace/home";
    Pairs env{};              ///< of what runs in boxes of the image
    std::string wanted_by{};  ///< the image that is made next, on top of it
};

struct BuildImage {
    std::string name;
    std::string from;
    std::string script;       ///< run by /bin/sh as root, in a box of its own
    Pairs env{};              ///< beside those of `from`: of the script, and of what runs in boxes of the image
    std::string wanted_by{};  ///< the image that is made next, on top of it
};

/// Who commands of a box run as and where, unless they say otherwise.
struct Usual {
    User user;
    std::string work_dir = kHome;
    [[nodiscard]] Habits habits() const { return {work_dir, user.home, user.uid, user.gid}; }
};

/// Done when whoever asked for the image is no longer there; may be cancelled.
using Gone = std::function<Task<>()>;

/// Images by name: made from an archive, or by running a script in a box and keeping what it wrote as a layer on top.
/// Event loop thread only.
class Images {
  public:
    Images(Manager& manager, Runs& runs);
    Images(const Images&) = delete;
    Images& operator=(const Images&) = delete;

    /// Reads the rows; with those whose layers are gone from the store said and left out.
    Result<void> load();
    /// Has their layers known as nobody's to pay for; when it is known which layers are in use.
    void claim_layers();
    /// A customer's own, or the operator's. kConflict while it, or what it is to stand on, is being made for the first
    /// time; else kNotFound, saying how to make it.
    Result<ImageRecord> find(const std::string& name, const std::string& customer = kLocalCustomer);
    /// As the npm client names them: "node-alpine" is "node" where there is no image of that very name, and as
    /// references are: "app" is "app:latest".
    Result<ImageRecord> find_runtime(const std::string& name, const std::string& customer = kLocalCustomer);
    std::vector<ImageRecord> list();  ///< of all customers
    /// Those that are being made now, the oldest first.
    std::vector<Making> making();
    /// Replaces an image of that name; boxes made from the old one keep it.
    Task<Result<ImageRecord>> import(ImportImage command, Source source);
    /// Brings what of its layers is not there (OciImport::bring), and keeps its record: durable when it answers, and
    /// nothing of it remains after an error. Replaces an image of that name and customer.
    Task<Result<ImageRecord>> import_oci(OciImage image, OpenBlob open, Progress progress = nullptr);
    /// The images of an archive (OciArchive), each by the names it has there, or the only one as `name`. The
    /// operator's.
    Task<Result<std::vector<ImageRecord>>> load_archive(std::string name, Source source);
    /// As the box's image has it; boxuser in /workspace/home where that is gone.
    Usual usual_of(const Box& box);
    /// By name or id, as the /etc/passwd of what the box was made from has it. kInvalid for nobody.
    Result<User> user_of(const Box& box, const std::string& who);
    /// How many images have each layer.
    using Holders = std::map<std::string, size_t>;
    [[nodiscard]] Holders holders() const;
    /// What of its layers no other image has, in bytes, as far as known.
    [[nodiscard]] int64_t own_bytes(const ImageRecord& image, const Holders& holders) const;
    /// What a customer's own images take, but for the layers that the operator's have too.
    [[nodiscard]] int64_t disk_of(const std::string& customer) const;
    /// Killed if who asked for it goes away while the script runs: nobody else could stop it.
    Task<Result<ImageRecord>> build(BuildImage command, Sink output, Gone gone);
    /// An image of layers that are there, those of a snapshot or of another image. Replaces one of its name.
    Task<Result<ImageRecord>> commit(ImageRecord image);
    /// kConflict while another image stands on it or a box was made from it.
    Result<void> remove(const std::string& name, const std::string& customer = kLocalCustomer);

  private:
    using Key = std::pair<std::string, std::string>;  ///< name and customer
    Task<Result<ImageRecord>> keep(ImageRecord image);
    Result<User> user_among(const std::vector<std::string>& layers, const std::string& who);
    [[nodiscard]] Result<void> check_room(const ImageRecord& image) const;
    [[nodiscard]] bool may_share(const std::string& layer, const std::string& customer) const;
    Task<Result<void>> complete(ImageRecord& record);
    std::shared_ptr<Making> begin_making(const std::string& name, const std::string& wanted_by);
    [[nodiscard]] std::string names(const std::string& customer) const;
    [[nodiscard]] bool uses_layer(const std::string& layer) const;
    Task<Result<std::string>> run_script(std::shared_ptr<Box> box, const std::string& script, Sink output, Gone gone);

    Manager& manager_;
    Runs& runs_;
    PipedWorkers unpackers_;
    std::map<Key, ImageRecord> images_;
    OciImport oci_;
    std::map<Key, User> users_;                  ///< found so far, by what they were asked for and the topmost layer
    std::multiset<std::string> in_hand_;         ///< layers of images that are not on record yet
    std::vector<std::weak_ptr<Making>> making_;  ///< each belongs to its import or build
};

/// 1-64 of letters, digits, '.', '_', '-'; starts with a letter or digit. `field` is for the message.
Result<void> check_name(const std::string& field, const std::string& name);
/// The same of images, which may be called by references, such as "registry.example:5000/team/app:1.2": up to 255, with
/// ':', '@' and '/', and each part between '/' starts with a letter or digit.
Result<void> check_image_name(const std::string& field, const std::string& name);

}  // namespace hutch::daemon

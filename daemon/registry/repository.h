#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "daemon/fetch.h"
#include "daemon/wire/reference.h"

namespace hutch::daemon {

/// Who somebody is to a registry; all empty: nobody in particular.
struct RegistryLogin {
    std::string user{};
    std::string password{};
    std::string
        refresh{};  ///< what docker calls an identity token, with which tokens are asked for; in place of the others

    [[nodiscard]] bool empty() const { return password.empty() && refresh.empty(); }
};

/// What the operator has said of all registries.
struct RegistryRules {
    std::vector<std::string> insecure{};  ///< hosts that are spoken to in clear
    std::string authorities{};            ///< a PEM file of those that may vouch for registries, beside the system's
};

/// A manifest, or an index of them, as the registry has it.
struct RawManifest {
    std::string media_type;  ///< without parameters, in lower case; what the registry says it is
    std::string text;        ///< at most Repository::kMostManifest bytes
    std::string digest;      ///< of the text, computed here
};

enum class RegistryAccess { kPull, kPush };

/// One repository of a registry, as one caller may use it: the client of the OCI distribution specification. It proves
/// itself when it is asked to, anonymously where there is no login, and follows redirects by hand: what it proves
/// itself with goes to the registry alone, and what it is told to ask a token with to no server in clear but where the
/// registry itself is.
///
/// Errors begin with the reference's host and repository. kNotFound: the registry has none of that name, or says so;
/// kForbidden: it wants a login, or another; kLimit: it wants to be asked later; kConflict: it cannot be reached, may
/// not be, or says what cannot be understood. Event loop thread only. Several calls may be under way at a time.
class Repository {
  public:
    static constexpr size_t kMostManifest = 4 << 20;  ///< bytes, as in the specification

    /// `reference` names a host. `to_private`: whether the registry, and whither it leads, may be at loopback, private
    /// and link-local addresses; not for a customer, who names the host. `fetcher` outlives this.
    Repository(Fetcher& fetcher, RegistryRules rules, Reference reference, RegistryLogin login, bool to_private,
               RegistryAccess access);

    [[nodiscard]] const Reference& reference() const { return reference_; }
    /// "HOST/REPOSITORY", for sentences.
    [[nodiscard]] std::string name() const;

    /// Whether the registry knows the login; `reference` may have no repository then. One that asks nobody knows all.
    Task<Result<void>> log_in();

    /// Of a tag or a digest, which is compared with what came.
    Task<Result<RawManifest>> manifest(std::string tag_or_digest);

    /// A blob on its way, to be read by fetch->read(); nothing of it is checked here.
    struct Stream {
        std::unique_ptr<Fetch> fetch;
        int64_t from = 0;  ///< where in the blob it begins: as asked, or 0 from a server that gives no parts
    };
    Task<Result<Stream>> blob(std::string digest, int64_t from);

    // For who pushes.

    Task<Result<bool>> has_blob(std::string digest);
    /// The digest that a tag stands for; empty: there is no such tag.
    Task<Result<std::string>> tag_digest(std::string tag);
    /// False where the registry does not take it from there: then it is to be uploaded.
    Task<Result<bool>> mount(std::string digest, std::string from_repository);
    /// The first `bytes` of `file`, read as they go out.
    Task<Result<void>> upload(std::string digest, std::shared_ptr<const UniqueFd> file, int64_t bytes);
    /// Of few bytes, such as an image's configuration.
    Task<Result<void>> upload_text(std::string digest, std::string text);
    /// Under a tag, or its own digest.
    Task<Result<void>> put_manifest(std::string media_type, std::string text, std::string tag_or_digest);

  private:
    static constexpr const char* kManifestTypes =
        "Accept: application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
        "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
    struct Ask {
        std::string method = "GET";
        std::string target;  ///< a path at the registry, or a whole address
        std::vector<std::string> headers{};
        std::string body{};
        std::shared_ptr<const UniqueFd> file{};
        int64_t file_bytes = 0;
    };
    struct Answer {
        std::unique_ptr<Fetch> fetch;
        Fetch::Head head;
        std::string url;
        [[nodiscard]] std::string header(const std::string& name) const;
    };
    Task<Result<Answer>> ask(Ask what);
    Task<Result<Answer>> ask_once(const Ask& what);
    [[nodiscard]] FetchCall call_of(const Ask& what, const std::string& url) const;
    Task<Result<void>> find_base();
    Task<Result<void>> prove(const Fetch::Head& head);
    Task<Result<void>> fetch_token(std::string realm, std::string service);
    Task<Result<std::string>> begin_upload();
    Task<Result<void>> end_upload(std::string location, std::string digest, Ask what);
    Task<Error> refusal(std::string what, Answer answer);
    [[nodiscard]] std::string path(const std::string& rest) const;
    [[nodiscard]] std::vector<std::string> scopes() const;
    [[nodiscard]] Error error(ErrorKind kind, const std::string& what) const;

    Fetcher& fetcher_;
    const RegistryRules rules_;
    const Reference reference_;
    const RegistryLogin login_;
    const bool to_private_;
    const RegistryAccess access_;
    std::string base_;           ///< "https://registry.example.com"; empty until it is known
    std::string authorization_;  ///< the header's value; empty until the registry asks for it
    std::string mounted_from_;   ///< another repository, which tokens are to be good for too
};

}  // namespace hutch::daemon

#include "daemon/wire/oci.h"

#include <gtest/gtest.h>

#include "daemon/digest.h"

namespace hutch::daemon::oci {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string descriptor(const std::string& type, const std::string& digest = kDigest) {
    return R"({"mediaType":")" + type + R"(","digest":")" + digest + R"(","size":5})";
}

std::string manifest(const std::string& layers) {
    return R"({"schemaVersion":2,"config":)" + descriptor(std::string(kConfigType)) + R"(,"layers":[)" + layers + "]}";
}

TEST(Digest, IsSha256) {
    EXPECT_EQ(digest_of("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    Sha256 hash;
    hash.add("a");
    hash.add("bc");
    EXPECT_EQ("sha256:" + hash.hex(), digest_of("abc"));
    EXPECT_EQ(chain_id("", kDigest), kDigest);
    EXPECT_EQ(chain_id(kDigest, kDigest), digest_of(kDigest + " " + kDigest));
}

TEST(Oci, DigestsAreSha256InLowerCase) {
    EXPECT_TRUE(check_digest(kDigest).ok());
    for (const std::string& bad :
         {std::string(), "sha512:" + std::string(64, 'a'), "sha256:" + std::string(63, 'a'),
          "sha256:" + std::string(64, 'A'), "sha256:" + std::string(61, 'a') + "/..", kDigest + "a"}) {
        EXPECT_FALSE(check_digest(bad).ok()) << bad;
    }
}

TEST(Oci, ReadsWhatItWrites) {
    ImageConfig config{.architecture = "amd64", .os = "linux"};
    config.user = "app:1000";
    config.env = {{"PATH", "/bin"}, {"EMPTY", ""}};
    config.entrypoint = {"/run", "a b"};
    config.cmd = {"--x"};
    config.work_dir = "/srv";
    config.ports = {"8080/tcp"};
    config.labels = {{"a", "1"}};
    config.diff_ids = {kDigest, kDigest};
    auto again = parse_config(dump(config));
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(dump(again.value()), dump(config));
    EXPECT_EQ(again->env, config.env);
    EXPECT_EQ(again->entrypoint, config.entrypoint);
    EXPECT_EQ(again->diff_ids, config.diff_ids);

    auto read = parse_manifest(manifest(descriptor(std::string(kGzipLayerType))));
    ASSERT_TRUE(read.ok()) << read.error().message;
    ASSERT_EQ(read->layers.size(), 1U);
    EXPECT_EQ(read->layers[0].size, 5);
    EXPECT_EQ(dump(parse_manifest(dump(read.value())).value()), dump(read.value()));
}

TEST(Oci, NullIsAListOfNothing) {
    auto config = parse_config(
        R"({"architecture":"amd64","os":"linux","config":{"Env":null,"Cmd":null,"Labels":null,"ExposedPorts":null},)"
        R"("rootfs":{"type":"layers","diff_ids":[]}})");
    ASSERT_TRUE(config.ok()) << config.error().message;
    EXPECT_TRUE(config->env.empty());
}

TEST(Oci, RefusesByField) {
    const auto message = [](const auto& result) { return result.ok() ? "taken" : result.error().message; };
    EXPECT_EQ(message(parse_manifest("[]")), "manifest: must be a JSON object");
    EXPECT_EQ(message(parse_manifest(R"({"schemaVersion":1})")),
              "schemaVersion: must be 2: older manifests are not supported");
    EXPECT_EQ(message(parse_manifest(R"({"schemaVersion":2,"config":7})")).rfind("config.digest: ", 0), 0U);
    const std::string foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    EXPECT_EQ(message(parse_manifest(manifest(descriptor(foreign)))),
              "layers[0]: is to be had elsewhere (a foreign layer), which is not supported");
    EXPECT_EQ(message(parse_manifest(manifest(descriptor("text/plain")))),
              "layers[0]: \"text/plain\" is no media type of a layer that is known here");
    EXPECT_EQ(message(parse_config(R"({"config":{"Env":["=x"]}})")), "Env: \"=x\" must be NAME=VALUE");
    EXPECT_EQ(message(parse_config(R"({"config":{"Cmd":"sh"}})")), "Cmd: must be a list of strings");
    EXPECT_NE(message(parse_config(R"({"rootfs":{"diff_ids":["x"]}})")).find("rootfs.diff_ids: "), std::string::npos);
    std::string many = descriptor(std::string(kLayerType));
    for (size_t layer = 0; layer < kMaxLayers; ++layer) many += "," + descriptor(std::string(kLayerType));
    EXPECT_EQ(message(parse_manifest(manifest(many))), "layers: are more than 127");
    EXPECT_FALSE(parse_config(std::string(kMaxDocumentBytes + 1, ' ')).ok());
    EXPECT_FALSE(parse_index(R"({"manifests":[{"digest":")" + kDigest + R"(","size":-1}]})").ok());
}

TEST(Oci, ChoosesByArchitecture) {
    Index index;
    index.manifests.push_back({.media_type = std::string(kManifestType),
                               .digest = kDigest,
                               .size = 1,
                               .platform = Platform{"arm64", "linux"}});
    index.manifests.push_back({.media_type = std::string(kManifestType),
                               .digest = kDigest,
                               .size = 2,
                               .platform = Platform{"amd64", "linux"}});
    EXPECT_EQ(choose(index, {"amd64", "linux"})->size, 2);
    const auto none = choose(index, {"s390x", "linux"});
    ASSERT_FALSE(none.ok());
    EXPECT_EQ(none.error().message, "it is not there for linux/s390x, only for linux/arm64, linux/amd64");
    EXPECT_EQ(dump(parse_index(dump(index)).value()), dump(index));
}

}  // namespace
}  // namespace hutch::daemon::oci

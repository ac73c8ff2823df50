// Reads forms, a line of hexadecimal digits each, as busboy does, and prints for each the file name and the bytes of
// its part "file" as JSON.
const busboy = require("busboy");
const lines = require("node:readline").createInterface({ input: process.stdin });
const boundary = process.argv[2];

function read(form) {
  return new Promise((resolve, reject) => {
    const found = [];
    const headers = { "content-type": `multipart/form-data; boundary=${boundary}` };
    const reader = busboy({ headers, defParamCharset: "utf8", preservePath: true });
    reader.on("file", (name, stream, { filename }) => {
      const pieces = [];
      stream.on("data", (piece) => pieces.push(piece));
      stream.on("end", () => name === "file" && found.push(filename, Buffer.concat(pieces).toString()));
    });
    reader.on("error", reject);
    reader.on("close", () => resolve(found));
    reader.end(form);
  });
}

(async () => {
  for await (const line of lines) console.log(JSON.stringify(await read(Buffer.from(line, "hex"))));
})();

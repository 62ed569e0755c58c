// SPDX-License-Identifier: Apache-2.0
// Threads come and go, memory goes from one to another, native parts allocate in the thread pool.
"use strict";

const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");
const { createHash, pbkdf2, randomFillSync } = require("crypto");
const { execFileSync } = require("child_process");
const { readFileSync, writeFileSync } = require("fs");
const { promisify } = require("util");
const zlib = require("zlib");

const WORKERS = 4;
const ROUNDS = 3;

function digest(data) {
	return createHash("sha256").update(data).digest("hex").slice(0, 16);
}

function evidence(name) {
	writeFileSync("evidence." + name, readFileSync("/proc/self/maps"));
}

function work(seed) {
	const buffer = Buffer.alloc(1 << 20);
	let x = seed * 2654435761 >>> 0;
	for (let i = 0; i < buffer.length; i++) {
		x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
		buffer[i] = x >>> 24 & 15;
	}
	const parts = [];
	for (let i = 0; i < 200; i++)
		parts.push(zlib.deflateSync(buffer.subarray(i * 4096, i * 4096 + 4096 + i)));
	const map = new Map();
	for (let i = 0; i < 50000; i++)
		map.set("key" + (i * 7919 % 50021), { i, text: "t".repeat(i % 40) });
	const text = JSON.stringify([...map].sort());
	if (seed === 1)
		evidence("worker");
	return { digest: digest(Buffer.concat(parts)) + digest(text), buffer };
}

async function workerRound(round) {
	const counter = new SharedArrayBuffer(4);
	const seeds = Array.from({ length: WORKERS }, (_, i) => i + 1);
	const results = await Promise.all(seeds.map((seed) => new Promise((done, fail) => {
		const worker = new Worker(__filename, { workerData: { seed, counter } });
		let result;
		worker.on("message", (message) => { result = message; });
		worker.on("error", fail);
		worker.on("exit", (code) => done({ code, ...result }));
	})));
	for (const { code, digest: told, array } of results)
		console.log("round", round, "code", code, told, digest(Buffer.from(array)));
	console.log("counter", Atomics.load(new Int32Array(counter), 0));
}

async function pool() {
	const data = Buffer.from("some text that repeats ".repeat(20000));
	const packed = await Promise.all(Array.from({ length: 32 }, (_, i) =>
		promisify(zlib.gzip)(data.subarray(i * 1000), { level: 1 + i % 9 })));
	const back = await Promise.all(packed.map((p) => promisify(zlib.gunzip)(p)));
	console.log("gzip", digest(Buffer.concat(packed)), digest(Buffer.concat(back)));
	const options = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 6 } };
	const brotli = await promisify(zlib.brotliCompress)(data, options);
	console.log("brotli", digest(await promisify(zlib.brotliDecompress)(brotli)));
	const keys = await Promise.all(Array.from({ length: 8 }, (_, i) =>
		promisify(pbkdf2)("secret" + i, "salt", 5000, 64, "sha512")));
	console.log("keys", digest(Buffer.concat(keys)));
	console.log("random", randomFillSync(Buffer.alloc(5 << 20)).length);
}

async function main() {
	for (let round = 0; round < ROUNDS; round++)
		await workerRound(round);
	await pool();
	const child = execFileSync(process.execPath,
		["-e", "console.log(JSON.stringify([...Array(50000).keys()]).length)"]);
	console.log("child", child.toString().trim());
	evidence("main");
}

if (isMainThread) {
	main().catch((error) => {
		console.error(error);
		process.exitCode = 1;
	});
} else {
	const { digest: told, buffer } = work(workerData.seed);
	const array = new Uint8Array(buffer).buffer;
	Atomics.add(new Int32Array(workerData.counter), 0, workerData.seed);
	parentPort.postMessage({ digest: told, array }, [array]);
}

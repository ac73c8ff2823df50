// Drives a browser for the tests beside this file: `node drive.mjs SCENE JSON` plays one scene with what
// the JSON tells it, and prints as JSON what there was to be seen. Judging that is the tests' part.

import { inflateSync } from "node:zlib";

import { chromium } from "playwright-core";

const FLAGS =
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
    "--disable-component-update --disable-sync";

// How long any one thing may take, in milliseconds.
const PATIENCE = 60_000;

const scenes = {
    // How wide a page's picture came out: 0 if it is none.
    async picture(page, { url }) {
        await page.goto(url);
        return page.locator("img").evaluate((picture) => picture.naturalWidth);
    },

    // The colour in the middle of each of a page's frames, once they are as expected or it is too late.
    async frames(page, { url, colours }) {
        await page.goto(url);
        const end = Date.now() + PATIENCE;
        for (;;) {
            const seen = [];
            for (const frame of await page.locator("iframe").all()) {
                seen.push(await colour(page, await frame.boundingBox()));
            }
            if (String(seen) === String(colours) || Date.now() > end) return seen;
            await page.waitForTimeout(100);
        }
    },

    // The colour in the middle of each page, opened by itself.
    async pages(page, { urls }) {
        const seen = [];
        for (const url of urls) {
            await page.goto(url);
            seen.push(await colour(page, { x: 0, y: 0, ...page.viewportSize() }));
        }
        return seen;
    },

    // The character set that each page, opened by itself, is read in, and its text.
    async charsets(page, { urls }) {
        const seen = [];
        for (const url of urls) {
            await page.goto(url);
            seen.push(await page.evaluate(() => [document.characterSet, document.body.innerText]));
        }
        return seen;
    },

    // Where a page's video was and where it came to after it was sent to a place, all in
    // seconds. From there it plays.
    async video(page, { url, to }) {
        await page.goto(url);
        return page.locator("video").evaluate(async (video, to) => {
            const once = (event) =>
                new Promise((then, fail) => {
                    video.addEventListener(event, then, { once: true });
                    video.addEventListener("error", () => fail(video.error), { once: true });
                });
            if (video.readyState < video.HAVE_FUTURE_DATA) await once("canplay");
            const { duration, videoWidth: width, currentTime: before } = video;
            video.currentTime = to;
            await once("seeked");
            const after = video.currentTime;
            await video.play();
            while (video.currentTime <= after) await once("timeupdate");
            return { duration, width, before, after };
        }, to);
    },

    // Clicks a page's link; the file goes to a path, and its name is answered.
    async save(page, { url, path }) {
        await page.goto(url);
        const started = page.waitForEvent("download");
        await page.locator("a").click();
        const download = await started;
        await download.saveAs(path);
        return { name: download.suggestedFilename(), still_at: page.url() };
    },

    // What becomes of requests that a script of a page makes: status and text, or that the browser refuses.
    async requests(page, { url, requests }) {
        await page.goto(url);
        return page.evaluate(async (requests) => {
            const seen = [];
            for (const [url, options] of requests) {
                try {
                    const response = await fetch(url, options);
                    seen.push([response.status, await response.text()]);
                } catch {
                    seen.push("refused");
                }
            }
            return seen;
        }, requests);
    },

    // Where a page's links lead, and what they say.
    async links(page, { url }) {
        await page.goto(url);
        return page.evaluate(() => ({
            hrefs: Array.from(document.links, (link) => link.href),
            texts: Array.from(document.links, (link) => link.textContent),
        }));
    },

    // What a script of a page learns from another origin: status, text and headers of each request.
    async read(page, { url, requests, headers }) {
        await page.goto(url);
        return page.evaluate(
            async ([requests, names]) => {
                const seen = [];
                for (const [url, headers] of requests) {
                    const response = await fetch(url, { headers, cache: "no-store" });
                    const said = Object.fromEntries(names.map((name) => [name, response.headers.get(name)]));
                    seen.push({ status: response.status, text: await response.text(), headers: said });
                }
                const [timing] = performance.getEntriesByName(requests[0][0]);
                return { seen, timed: timing.responseStart > 0 && timing.decodedBodySize > 0 };
            },
            [requests, headers],
        );
    },

    // What a script learns by HEAD: status, headers, and how many bytes of a body came by which protocol.
    async head(page, { url, requests }) {
        await page.goto(url);
        return page.evaluate(async (requests) => {
            const seen = [];
            for (const [url, headers] of requests) {
                performance.clearResourceTimings();
                const response = await fetch(url, { method: "HEAD", headers, cache: "no-store" });
                const text = await response.text();
                let timing;
                while (!(timing = performance.getEntriesByName(url)[0])) {
                    await new Promise((then) => setTimeout(then, 10));
                }
                seen.push({
                    status: response.status,
                    length: response.headers.get("Content-Length"),
                    text: text.length,
                    body: timing.encodedBodySize,
                    protocol: timing.nextHopProtocol,
                });
            }
            return seen;
        }, requests);
    },

    // What a page says, how it is set, and its background in light and in dark. Pictures of it, for wide
    // and for narrow screens, are for people to look at.
    async words(page, { url, pictures }) {
        const response = await page.goto(url);
        const backgrounds = [];
        for (const colorScheme of ["light", "dark"]) {
            await page.emulateMedia({ colorScheme });
            for (const width of [1280, 360]) {
                await page.setViewportSize({ width, height: 640 });
                await page.screenshot({ path: `${pictures}-${colorScheme}-${width}.png` });
            }
            backgrounds.push(await colour(page, { x: 0, y: 0, width: 2, height: 2 }));
        }
        const set = await page.evaluate(() => ({
            column: getComputedStyle(document.body).maxWidth,
            overflow: document.documentElement.scrollWidth - innerWidth,
        }));
        const [heading, text] = [page.locator("h1").innerText(), page.locator("p").allInnerTexts()];
        return { status: response.status(), heading: await heading, text: await text, backgrounds, ...set };
    },

    // A page that has the browser fetch a link ahead of time: how that was asked for and answered, and what the link gave
    // once it was clicked.
    async ahead(page, { url, link }) {
        const session = await page.context().newCDPSession(page);
        await session.send("Preload.enable");
        const ended = new Promise((then) => {
            session.on("Preload.prefetchStatusUpdated", (event) => {
                if (event.status !== "Pending" && event.status !== "Running") then(event.status);
            });
        });
        await page.goto(url);
        const status = await ended;
        const [response] = await Promise.all([page.waitForNavigation(), page.locator("a").click()]);
        return { status, clicked: response.status(), text: await response.text() };
    },

    // A page that asks for one thing, or with `press` the one that its button leads to: what is on it, how it fits screens of some widths, the contrast of its texts in
    // light and in dark, what the console said, and, by keyboard alone, where its one control leads. Pictures of it
    // are for people to look at.
    async ask(page, { url, pictures, press }) {
        const said = [];
        page.on("console", (message) => said.push(message.text()));
        page.on("pageerror", (error) => said.push(String(error)));
        let response = await page.goto(url);
        if (press) [response] = await Promise.all([page.waitForNavigation(), page.locator("button").click()]);
        const overflows = [];
        const contrasts = [];
        for (const colorScheme of ["light", "dark"]) {
            await page.emulateMedia({ colorScheme });
            for (const width of [1280, 390, 320]) {
                await page.setViewportSize({ width, height: 720 });
                overflows.push(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth));
                await page.screenshot({ path: `${pictures}-${colorScheme}-${width}.png` });
            }
            contrasts.push(await page.evaluate(leastContrast, await colour(page, { x: 0, y: 0, width: 2, height: 2 })));
        }
        const seen = await page.evaluate(() => ({
            lang: document.documentElement.lang,
            title: document.title,
            heading: document.querySelector("h1").innerText,
            facts: Array.from(document.querySelectorAll("dt"), (of) => [of.innerText, of.nextElementSibling.innerText]),
            text: document.querySelector("main > p").innerText,
            controls: Array.from(document.querySelectorAll("a, button, input"), (of) => of.innerText),
            landmarks: document.querySelectorAll("main").length,
            height: document.querySelector("a, button")?.getBoundingClientRect().height,
        }));
        let then;
        if (seen.controls.length > 0) {
            await page.keyboard.press("Tab");
            const focused = await page.evaluate(() => {
                const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
                return [document.activeElement.innerText, outlineStyle, outlineWidth];
            });
            await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
            then = { focused, at: page.url(), text: await page.locator("body").innerText() };
        }
        return { status: response.status(), overflows, contrasts, said, then, ...seen };
    },

    // Pages, each in each language: what a screen reader is told, how they fit screens of some widths, the least contrast of
    // their texts, and what the console said. One with `press` is the page that its button leads to. Pictures of them are
    // for people to look at.
    async languages(page, { pages, languages, pictures }) {
        const said = [];
        page.on("console", (message) => said.push(message.text()));
        page.on("pageerror", (error) => said.push(String(error)));
        const devtools = await page.context().newCDPSession(page);
        await devtools.send("Accessibility.enable");
        const seen = [];
        for (const language of languages) {
            await page.setExtraHTTPHeaders({ "Accept-Language": language });
            for (const { name, url, press } of pages) {
                let response = await page.goto(url);
                if (press) [response] = await Promise.all([page.waitForNavigation(), page.locator("button").click()]);
                const { lang, ...is } = await page.evaluate(() => ({
                    lang: document.documentElement.lang,
                    title: document.title,
                    logo: document.querySelector("header img")?.naturalWidth,
                }));
                const overflows = [];
                for (const width of [1280, 390, 320]) {
                    await page.setViewportSize({ width, height: 720 });
                    overflows.push(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth));
                    if (width === 320) continue;
                    await page.screenshot({ path: `${pictures}-${name}-${lang}-${width}.png`, fullPage: true });
                }
                const { nodes } = await devtools.send("Accessibility.getFullAXTree");
                const told = nodes
                    .filter((node) => !node.ignored)
                    .map((node) => [node.role?.value, node.name?.value ?? ""]);
                const contrast = await page.evaluate(leastContrast, "#ffffff");
                seen.push({ name, lang, status: response.status(), overflows, contrast, told, ...is });
            }
        }
        return { seen, said };
    },

    // The pages of a share, one after the other, with scripts switched off and by keyboard alone: what a screen reader is
    // told on each, how they fit screens of some widths, the contrast of their texts, what the console said. Each step
    // types a text, then goes on to the control of this name with Tab, if it has one, and presses Enter: that leads to
    // the next page, or saves a file. With `mouse` the pointer goes to the control, and presses there. Pictures of the pages are for people to look at.
    async share(page, { url, steps, pictures }) {
        const said = [];
        // The browser's own hints for forms are none of faults.
        const is_hint = (text) => text.startsWith("[DOM] ");
        page.on("console", (message) => is_hint(message.text()) || said.push(message.text()));
        page.on("pageerror", (error) => said.push(String(error)));
        const devtools = await page.context().newCDPSession(page);
        await devtools.send("Accessibility.enable");
        const nodes = async () => {
            const { nodes } = await devtools.send("Accessibility.getFullAXTree");
            return nodes.filter((node) => !node.ignored);
        };
        const focused = async () => {
            const has = (node) => node.properties?.some((of) => of.name === "focused" && of.value.value);
            return (await nodes()).filter(has).map((node) => node.name?.value).at(-1);
        };
        const seen = [];
        const survey = async (status) => {
            const overflows = [];
            const contrasts = [];
            for (const colorScheme of ["light", "dark"]) {
                await page.emulateMedia({ colorScheme });
                for (const width of [1280, 390, 320]) {
                    await page.setViewportSize({ width, height: 720 });
                    const { cssContentSize } = await devtools.send("Page.getLayoutMetrics");
                    overflows.push(Math.max(0, cssContentSize.width - width));
                    const path = `${pictures}-${seen.length}-${colorScheme}-${width}.png`;
                    await page.screenshot({ path, fullPage: true });
                }
                const canvas = await colour(page, { x: 0, y: 0, width: 2, height: 2 });
                contrasts.push(await page.evaluate(leastContrast, canvas));
            }
            const told = (await nodes()).map((node) => [node.role?.value, node.name?.value ?? ""]);
            const invalid = (await nodes()).some((node) =>
                node.properties?.some((of) => of.name === "invalid" && of.value.value === "true"),
            );
            seen.push({ status, at: page.url(), title: await page.title(), overflows, contrasts, told, invalid });
        };
        await devtools.send("Emulation.setScriptExecutionDisabled", { value: true });
        const response = await page.goto(url);
        await survey(response.status());
        const saved = [];
        const clicked = async (name) => {
            const [control] = await page.getByRole("button", { name, exact: true }).all();
            await control.scrollIntoViewIfNeeded();
            const { x, y, width, height } = await control.boundingBox();
            await page.mouse.click(x + width / 2, y + height / 2);
        };
        for (const { text, press, save, mouse } of steps) {
            if (text) await page.keyboard.type(text);
            for (let tabs = 0; !mouse && press && (await focused()) !== press; tabs += 1) {
                if (tabs > 40) throw new Error(`no control is named ${press}`);
                await page.keyboard.press("Tab");
            }
            const pressed = () => (mouse ? clicked(press) : page.keyboard.press("Enter"));
            if (save) {
                const [download] = await Promise.all([page.waitForEvent("download"), pressed()]);
                await download.saveAs(save);
                saved.push(download.suggestedFilename());
                continue;
            }
            const next = page.waitForNavigation();
            await pressed();
            await survey((await next).status());
        }
        return { seen, saved, said };
    },
};

// The least contrast of a text to what is behind it, by the formula of WCAG 2.2 ("relative luminance", "contrast ratio").
// `canvas` is the colour behind all.
function leastContrast(canvas) {
    const channels = (colour) => {
        const hex = colour.match(/^#(..)(..)(..)$/);
        if (hex) return hex.slice(1).map((two) => parseInt(two, 16));
        return colour.match(/[\d.]+/g).map(Number);
    };
    const luminance = (colour) => {
        const [red, green, blue] = channels(colour).map((of) => {
            const part = of / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const behind = (of) => {
        for (; of; of = of.parentElement) {
            const colour = getComputedStyle(of).backgroundColor;
            if (!(channels(colour)[3] === 0)) return colour;
        }
        return canvas;
    };
    const words = "h1, dt, dd, p, small, a, button, label, input, caption, th, td";
    const texts = document.querySelectorAll(words);
    const ratios = Array.from(texts, (of) => {
        const [one, other] = [luminance(getComputedStyle(of).color), luminance(behind(of))];
        return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    });
    return Math.min(...ratios);
}

// The colour in the middle of a box, as `#rrggbb`.
async function colour(page, { x, y, width, height }) {
    const middle = { x: Math.floor(x + width / 2), y: Math.floor(y + height / 2) };
    const png = await page.screenshot({ clip: { ...middle, width: 1, height: 1 } });
    const data = [];
    for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
        const [kind, end] = [png.toString("latin1", at + 4, at + 8), at + 8 + png.readUInt32BE(at)];
        if (kind === "IDAT") data.push(png.subarray(at + 8, end));
    }
    // One pixel is one line: a filter, which has nothing to do there, and the colours.
    return `#${inflateSync(Buffer.concat(data)).subarray(1, 4).toString("hex")}`;
}

const [scene, json] = process.argv.slice(2);
const asked = JSON.parse(json);
const context = await chromium.launchPersistentContext(asked.profile, {
    executablePath: "/usr/bin/chromium",
    args: FLAGS.split(" "),
    // Those of tests are their own.
    ignoreHTTPSErrors: true,
    // Whatever the machine speaks. A scene with several languages sends its own.
    locale: asked.languages ? undefined : "en-US",
});
try {
    context.setDefaultTimeout(PATIENCE);
    const [page] = context.pages();
    console.log(JSON.stringify(await scenes[scene](page, asked)));
} finally {
    await context.close();
}

// The access token of this tab: kept in session storage, sent to this server only.
import { byId, recall, remember } from "/docs/page.js";

const KEY = "raypit-token";
const listeners = [];
let current = recall(sessionStorage, KEY) ?? "";

export const token = () => current;
export const onToken = (listener) => listeners.push(listener);

function keep(value) {
  current = value.trim();
  remember(sessionStorage, KEY, current || null);
  byId("sign-in").textContent = current ? "Signed in" : "Sign in";
  byId("sign-in").classList.toggle("done", Boolean(current));
  byId("sign-out").hidden = !current;
  for (const listener of listeners) listener();
}

async function tokenFor(username, password) {
  const answer = await fetch("/api/v1/auth/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username, password }),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail);
  return body.access_token;
}

export function setUpSession() {
  const box = byId("sign-in-box");
  const problem = byId("sign-in-problem");
  const tell = (text) => { problem.textContent = text; problem.hidden = !text; };
  byId("sign-in").addEventListener("click", () => { tell(""); byId("token").value = current; box.showModal(); });
  byId("sign-in-cancel").addEventListener("click", () => box.close());
  byId("sign-out").addEventListener("click", () => { keep(""); byId("token").value = ""; box.close(); });
  byId("sign-in-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    tell("");
    const [name, password] = [byId("username").value.trim(), byId("password").value];
    try {
      if (name && password) keep(await tokenFor(name, password));
      else if (byId("token").value.trim()) keep(byId("token").value);
      else return tell("Give a username and a password, or a token.");
      byId("password").value = "";
      box.close();
    } catch (error) {
      tell(error.message);
    }
  });
  keep(current);
}
